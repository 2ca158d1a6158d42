<?php
// SPDX-License-Identifier: Apache-2.0
// A form with a confirmation screen, all at one URL: enter, look at it (what was entered goes along in hidden fields),
// change it or send it. The mail goes out at the last step only.
$fields = ['name' => 'お名前', 'email' => 'メールアドレス', 'date' => 'ご希望日', 'message' => 'ご要望'];
$mode = is_string($_POST['mode'] ?? null) ? $_POST['mode'] : '';
$v = [];
foreach ($fields as $name => $label) {
    $v[$name] = is_string($_POST[$name] ?? null) ? $_POST[$name] : '';
}

function h($s)
{
    return htmlspecialchars($s, ENT_QUOTES, 'UTF-8');
}

header('Content-Type: text/html; charset=UTF-8');
$title = ['confirm' => '内容のご確認', 'send' => '送信完了'][$mode] ?? 'ご予約';
echo "<!DOCTYPE html>\n<html lang=\"ja\"><head><meta charset=\"UTF-8\"><title>$title</title></head><body>\n<h1>$title</h1>\n";
if ($mode === 'send') {
    $text = '';
    foreach ($fields as $name => $label) {
        $text .= "$label: {$v[$name]}\n";
    }
    foreach (array_diff_key($_POST, $fields) as $name => $value) {
        $text .= "($name)\n";
    }
    mail('owner@clinic.example', '=?UTF-8?B?' . base64_encode('ご予約') . '?=', chunk_split(base64_encode($text)),
        "Reply-To: {$v['email']}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: base64");
    echo "<p>ありがとうございました。</p>\n";
} elseif ($mode === 'confirm') {
    echo "<form action=\"reserve.php\" method=\"post\">\n<table>\n";
    foreach ($fields as $name => $label) {
        echo "<tr><th>$label</th><td>", nl2br(h($v[$name])), '<input type="hidden" name="', $name, '" value="', h($v[$name]), "\"></td></tr>\n";
    }
    echo "</table>\n<p><button name=\"mode\" value=\"back\">修正する</button> <button name=\"mode\" value=\"send\">送信する</button></p>\n</form>\n";
} else {
    echo "<form action=\"reserve.php\" method=\"post\">\n";
    foreach ($fields as $name => $label) {
        echo "<p><label>$label ", $name === 'message' ? '<textarea name="message">' . h($v[$name]) . '</textarea>'
            : "<input name=\"$name\" value=\"" . h($v[$name]) . '">', "</label></p>\n";
    }
    echo "<p><button name=\"mode\" value=\"confirm\">確認する</button></p>\n</form>\n";
}
echo "</body></html>\n";
