<?php
// SPDX-License-Identifier: Apache-2.0
// A mailer as they were left behind: whatever is posted goes to the owner. One POST is one mail.

if ($_SERVER['REQUEST_METHOD'] !== 'POST' || trim($_POST['message'] ?? '') === '') {
    echo "<form method=\"post\"><input name=\"name\"><input name=\"email\"><input name=\"subject\">",
        "<textarea name=\"message\"></textarea><button>OK</button></form>\n";
    exit;
}
$text = '';
foreach ($_POST as $name => $value) {
    $text .= "$name: $value\n";
}
mail('owner@shop.example', $_POST['subject'] ?? 'contact', $text, 'Reply-To: ' . ($_POST['email'] ?? ''));
echo "sent\n";
