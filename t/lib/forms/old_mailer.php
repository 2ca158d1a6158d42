<?php
// SPDX-License-Identifier: Apache-2.0
// A mailer as Japanese sites got them around 2003, to be stored in Shift_JIS: what was posted, under the names it was
// posted by, goes to the owner in ISO-2022-JP.
header('Content-Type: text/html; charset=Shift_JIS');
mb_language('Japanese');
mb_internal_encoding('SJIS-win');
$text = '';
foreach ($_POST as $key => $val) {
    if (is_array($val)) {
        $val = implode('・', $val);
    }
    $text .= '【' . $key . '】' . "\n" . str_replace("\r\n", "\n", $val) . "\n";
}
$ok = mb_send_mail('owner@shop.example', 'ご注文：' . $_POST['品名'], $text, 'From: ' . $_POST['email']);
echo '<HTML><HEAD><TITLE>', $ok ? '送信しました' : '送信エラー', '</TITLE></HEAD><BODY BGCOLOR="#ffffff"><P>', htmlspecialchars($_POST['品名'], ENT_QUOTES, 'cp932'),
    ' を承りました。</P></BODY></HTML>', "\n";
