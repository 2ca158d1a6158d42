#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The solver that stands behind ALTCHA's widget, in the browser it is for: every length a message can have, both schemes,
# and against what OpenSSL and altcha-lib say.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Browser;
use FormGuard::Httpd;
use Test::More;

my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";
my $script = do { open my $fh, '<:raw', $widget or die "$widget: $!\n"; local $/; <$fh> };
my $httpd = FormGuard::Httpd->new(module => 0, config => "AddType text/javascript .js\n", files => {
    'favicon.ico' => '',
    'altcha.js' => $script,
    'page.html' => '<!DOCTYPE html><html lang="en"><title>x</title><script type="module" src="/altcha.js"></script></html>',
});
my $browser = FormGuard::Browser->new(hosts => ['shop.example']);

# work(data) asks a worker, as the widget does.
my $WORK = <<'JS';
    const work = (data) => page.evaluate((data) => new Promise((done, failed) => {
        const worker = globalThis.$altcha.algorithms.get('SHA-256')('SHA-256');
        worker.onmessage = (message) => { worker.terminate(); done(message.data); };
        worker.onerror = (error) => failed(new Error(error.message));
        worker.postMessage({ type: 'work', ...data });
        if (data.abort) setTimeout(() => worker.postMessage({ type: 'abort' }), 50);
    }), data);
    const { createHash } = process.getBuiltinModule('crypto');
    const sha = (text) => createHash('sha256').update(text).digest('hex');
    const one = (salt, keyPrefix) => ({ algorithm: 'SHA-256', cost: 1, keyLength: 32, salt: '', nonce: Buffer.from(salt).toString('hex'), keyPrefix });
JS

# Salts around the ends of SHA-256's blocks, numbers around those of digits and of what is tried at a time.
my @LENGTHS = (0, 1, 50, 51, 53 .. 56, 59, 62 .. 65, 90, 115, 118 .. 120, 127, 128, 300);
for (['127.0.0.1', JSON::PP::true, @LENGTHS], ['shop.example', JSON::PP::false, 90]) {
    my ($host, $secure, @lengths) = @$_;
    $browser->fresh;
    $browser->run('await page.goto(args.url)', url => "http://$host:" . $httpd->port . '/page.html');
    is $browser->run('return page.evaluate(() => isSecureContext)'), $secure, "$host: secure context $secure";

    my $wrong = $browser->run($WORK . <<'JS', lengths => \@lengths, numbers => [0, 9, 10, 40001]);
        const wrong = [];
        for (const length of args.lengths) {
            for (const number of args.numbers) {
                const salt = 'abcdefghi&'.repeat(30).slice(0, length);
                const want = sha(salt + number);
                const got = await work({ challenge: { parameters: one(salt, want) }, counterMode: 'string', counterStart: number % 2, counterStep: 2 });
                if (got?.counter !== number || got.derivedKey !== want || !(got.time >= 0)) wrong.push([length, number, got]);
            }
        }
        return wrong;
JS
    is_deeply $wrong, [], "$host: lengths of salts and of numbers";

    my $verified = $browser->run($WORK . <<'JS');
        const { createChallenge, verifySolution } = require('altcha-lib');
        const { deriveKey } = require('altcha-lib/algorithms/sha');
        const hmacSignatureSecret = 'a secret of thirty-two characters';
        const verified = [];
        for (const more of [{ cost: 1, keyPrefix: '00' }, { cost: 7, keyPrefix: '0aF' }, { cost: 5, keyPrefix: '0', keyLength: 16 }, { cost: 3, counter: 2345 }]) {
            const challenge = await createChallenge({ algorithm: 'SHA-256', deriveKey, hmacSignatureSecret, ...more });
            const solution = await work({ challenge, counterMode: 'uint32' });
            verified.push((await verifySolution({ challenge, solution, deriveKey, hmacSignatureSecret })).verified);
        }
        return verified;
JS
    is_deeply $verified, [(JSON::PP::true) x 4], "$host: challenges of scheme 2 are solved as altcha-lib wants them";

    my $never = $browser->run($WORK . <<'JS');
        const challenge = { parameters: one('salt', 'f'.repeat(64)) };
        return [await work({ challenge, counterMode: 'string', timeout: 100 }), await work({ challenge, counterMode: 'string', abort: 1 })];
JS
    is_deeply $never, [undef, undef], "$host: null in time where there is no solution, and when it is told to stop";
    is_deeply [$browser->said], [], "$host: no word in the console";
}
$httpd->done;
done_testing;
