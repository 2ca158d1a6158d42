<?php
// SPDX-License-Identifier: Apache-2.0
// siteverify.php URL COUNT: as mailers do it; prints seconds and CPU seconds.
function verify($url, $token)
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "Content-type: application/x-www-form-urlencoded\r\n",
        'content' => http_build_query([
            'secret' => '6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe',
            'response' => $token,
            'remoteip' => '203.0.113.7',
        ]),
    ]]);
    return json_decode(file_get_contents($url, false, $context))->success === true;
}

function cpu_seconds()
{
    $use = getrusage();
    return $use['ru_utime.tv_sec'] + $use['ru_stime.tv_sec'] + ($use['ru_utime.tv_usec'] + $use['ru_stime.tv_usec']) / 1e6;
}

[, $url, $count] = $argv;
$start = microtime(true);
$cpu = cpu_seconds();
for ($i = 0; $i < $count; $i++) {
    verify($url, sprintf('03AFcWeA%01900d', $i)) or exit(1);
}
printf("%.6f %.6f\n", microtime(true) - $start, cpu_seconds() - $cpu);
