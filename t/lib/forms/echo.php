<?php
// SPDX-License-Identifier: Apache-2.0
// What PHP got, as JSON. For multipart bodies php://input is empty unless enable_post_data_reading is off.

header('Content-Type: application/json');
$hash = hash_init('sha256');
$length = 0;
$in = fopen('php://input', 'rb');
while (($piece = fread($in, 65536)) !== false && $piece !== '') {
    hash_update($hash, $piece);
    $length += strlen($piece);
}
$files = [];
foreach ($_FILES as $name => $f) {
    $files[$name] = is_array($f['name'])
        ? $f
        : ['name' => $f['name'], 'type' => $f['type'], 'size' => $f['size'], 'error' => $f['error'],
           'sha256' => $f['error'] === UPLOAD_ERR_OK ? hash_file('sha256', $f['tmp_name']) : null];
}
$formguard = array_filter($_SERVER, function ($k) {
    return strpos($k, 'FORMGUARD') !== false;
}, ARRAY_FILTER_USE_KEY);
echo json_encode([
    'sha256' => hash_final($hash),
    'length' => $length,
    'method' => $_SERVER['REQUEST_METHOD'],
    'uri' => $_SERVER['REQUEST_URI'],
    'content_length' => $_SERVER['CONTENT_LENGTH'] ?? null,
    'content_type' => $_SERVER['CONTENT_TYPE'] ?? null,
    'remote_addr' => $_SERVER['REMOTE_ADDR'],
    'get' => (object) $_GET,
    'post' => (object) $_POST,
    'files' => (object) $files,
    'formguard' => (object) $formguard,
], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
