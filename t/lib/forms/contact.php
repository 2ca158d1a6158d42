<?php
// SPDX-License-Identifier: Apache-2.0
// A contact form as small sites in Japan run them: one file, no framework, mail() to the owner with whatever was
// posted, a confirmation to the visitor. One POST is two mails.

$owner = 'owner@shop.example';
$shop  = '山田陶器店';

header('Content-Type: text/html; charset=UTF-8');

function h($s)
{
    return htmlspecialchars($s, ENT_QUOTES, 'UTF-8');
}

function one_line($s)
{
    return trim(preg_replace('/[\x00-\x1f\x7f]+/', ' ', $s));
}

function mime($s)
{
    $s = one_line($s);
    if (preg_match('/\A[\x20-\x7e]*\z/', $s) || !preg_match_all('/.{1,14}/u', $s, $m)) {
        return $s;
    }
    return '=?UTF-8?B?' . implode("?=\r\n =?UTF-8?B?", array_map('base64_encode', $m[0])) . '?=';
}

function page($title, $body)
{
    echo "<!DOCTYPE html>\n<html lang=\"ja\">\n<head><meta charset=\"UTF-8\"><title>", h($title),
        "</title></head>\n<body>\n<h1>", h($title), "</h1>\n", $body, "</body>\n</html>\n";
}

function form($errors, $v)
{
    $out = '';
    foreach ($errors as $e) {
        $out .= '<p class="error">' . h($e) . "</p>\n";
    }
    $rows = ['name' => 'お名前', 'email' => 'メールアドレス', 'tel' => '電話番号', 'subject' => '件名'];
    $out .= "<form action=\"\" method=\"post\" enctype=\"multipart/form-data\">\n";
    foreach ($rows as $name => $label) {
        $value = h(is_string($v[$name] ?? null) ? $v[$name] : '');
        $out .= "<p><label>$label <input name=\"$name\" value=\"$value\"></label></p>\n";
    }
    $text = h(is_string($v['message'] ?? null) ? $v['message'] : '');
    $out .= "<p><label>お問い合わせ内容 <textarea name=\"message\">$text</textarea></label></p>\n"
        . "<p><label>添付ファイル <input type=\"file\" name=\"attachment\"></label></p>\n"
        . "<p><button name=\"send\" value=\"1\">送信する</button></p>\n</form>\n";
    page('お問い合わせ', $out);
}

function fields($values, $prefix = '')
{
    $out = '';
    foreach ($values as $name => $value) {
        $label = $prefix === '' ? $name : $prefix . '[' . $name . ']';
        $out .= is_array($value) ? fields($value, $label) : "【{$label}】 {$value}\n";
    }
    return $out;
}

function send_text($to, $subject, $text, $headers)
{
    $headers[] = 'MIME-Version: 1.0';
    $headers[] = 'Content-Type: text/plain; charset=UTF-8';
    $headers[] = 'Content-Transfer-Encoding: base64';
    return mail($to, mime($subject), chunk_split(base64_encode($text)), implode("\r\n", $headers));
}

function send_with_file($to, $subject, $text, $headers, $file)
{
    $b = 'mailer' . bin2hex(random_bytes(12));
    $name = mime($file['name']);
    $headers[] = 'MIME-Version: 1.0';
    $headers[] = "Content-Type: multipart/mixed; boundary=\"$b\"";
    $body = "--$b\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        . chunk_split(base64_encode($text))
        . "--$b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        . "Content-Disposition: attachment; filename=\"$name\"\r\n\r\n"
        . chunk_split(base64_encode(file_get_contents($file['tmp_name']))) . "--$b--\r\n";
    return mail($to, mime($subject), $body, implode("\r\n", $headers));
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    form([], []);
    exit;
}

$errors = [];
foreach (['name' => 'お名前', 'email' => 'メールアドレス', 'message' => 'お問い合わせ内容'] as $name => $label) {
    if (!is_string($_POST[$name] ?? null) || trim($_POST[$name]) === '') {
        $errors[] = $label . 'を入力してください。';
    }
}
$email = is_string($_POST['email'] ?? null) ? trim($_POST['email']) : '';
if ($email !== '' && !preg_match('/\A[^@\s<>"]+@[^@\s<>"]+\z/', $email)) {
    $errors[] = 'メールアドレスの形式が正しくありません。';
}
if ($errors) {
    form($errors, $_POST);
    exit;
}

$name = one_line($_POST['name']);
$subject = is_string($_POST['subject'] ?? null) ? one_line($_POST['subject']) : '';
$file = $_FILES['attachment'] ?? null;
$has_file = $file && $file['error'] === UPLOAD_ERR_OK;

$text = "ホームページからお問い合わせがありました。\n\n" . fields($_POST)
    . ($has_file ? "【添付ファイル】 {$file['name']} ({$file['size']} バイト)\n" : '')
    . "\n送信日時: " . date('Y/m/d H:i:s') . "\n送信者のIPアドレス: {$_SERVER['REMOTE_ADDR']}\n";
$headers = ['From: ' . mime($name) . " <$owner>", "Reply-To: $email"];
$title = 'お問い合わせ: ' . ($subject !== '' ? $subject : $name);
$sent = $has_file ? send_with_file($owner, $title, $text, $headers, $file) : send_text($owner, $title, $text, $headers);

$reply = "{$name} 様\n\nこの度はお問い合わせいただきありがとうございます。\n"
    . "以下の内容で受け付けました。担当者よりご連絡いたします。\n\n" . fields($_POST) . "\n-- \n{$shop}\n";
$sent = send_text($email, "【{$shop}】お問い合わせありがとうございます", $reply,
    ['From: ' . mime($shop) . " <$owner>"]) && $sent;

if (!$sent) {
    http_response_code(500);
    page('送信エラー', "<p>メールを送信できませんでした。</p>\n");
    exit;
}
page('送信完了', '<p>' . h($name) . " 様、お問い合わせありがとうございました。確認のメールをお送りしました。</p>\n");
