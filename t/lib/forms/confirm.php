<?php
// SPDX-License-Identifier: Apache-2.0
// A form with a confirmation screen: the same fields are posted twice, and the second time they are mailed.

if (($_POST['mode'] ?? '') !== 'send') {
    echo "<p>Is this right?</p><form method=\"post\"><input type=\"hidden\" name=\"mode\" value=\"send\"></form>\n";
    exit;
}
mail('owner@clinic.example', $_POST['subject'], $_POST['message'], 'Reply-To: ' . $_POST['email']);
echo "sent\n";
