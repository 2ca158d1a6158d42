// SPDX-License-Identifier: Apache-2.0
// How long the real widget in Chromium takes for challenges of both schemes, at a known number of attempts.
// Called by run: solve.mjs PACKAGES WIDGET NAME. One line a challenge: name, cost, attempts, milliseconds. NAME stock: all
// schemes; ours: v1 alone, for which our solver stands behind the widget.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const [packages, widget, name] = process.argv.slice(2);
const require = createRequire(path.resolve(packages, 'x'));
const { chromium } = require('playwright-core');
const v1 = require('altcha-lib/v1');
const v2 = require('altcha-lib');
const derive = {
    'SHA-256': require('altcha-lib/algorithms/sha').deriveKey,
    'PBKDF2/SHA-256': require('altcha-lib/algorithms/pbkdf2').deriveKey,
};
const secret = '0123456789abcdef0123456789abcdef';
const expires = () => new Date(Date.now() + 600e3);

// Each is to be solved at attempt `at` exactly: v1's challenge of maxnumber N is solved after N/2 in the median.
const numbers = name === 'ours' ? [50000, 125000, 500000] : [12500, 25000, 50000, 125000];
const table = numbers.map((at) => ({ scheme: 'v1', cost: 1, at }));
for (const [algorithm, cost, at] of name === 'ours' ? [] : [
    ['SHA-256', 100, 500], ['SHA-256', 1000, 50],
    ['PBKDF2/SHA-256', 100, 12500], ['PBKDF2/SHA-256', 1000, 2500], ['PBKDF2/SHA-256', 5000, 500],
]) {
    table.push({ scheme: algorithm === 'SHA-256' ? 'v2-sha' : 'v2-pbkdf2', algorithm, cost, at });
}

function make(c) {
    if (c.scheme === 'v1') {
        return v1.createChallenge({ hmacKey: secret, number: c.at, maxnumber: 2 * c.at, expires: expires() });
    }
    return v2.createChallenge({
        algorithm: c.algorithm, cost: c.cost, counter: c.at, deriveKey: derive[c.algorithm],
        expiresAt: expires(), hmacSignatureSecret: secret,
    });
}

const page = '<!DOCTYPE html><html lang="en"><form><altcha-widget challenge="/challenge"'
    + ' configuration=\'{"minDuration":0,"timeout":300000}\'></altcha-widget></form>'
    + '<script type="module" src="/altcha.js"></script></html>';
let current;
const server = http.createServer(async (request, response) => {
    const [type, body] = request.url === '/challenge' ? ['application/json', JSON.stringify(await make(current))]
        : request.url === '/altcha.js' ? ['text/javascript', fs.readFileSync(widget)]
        : ['text/html', page];
    response.setHeader('Content-Type', type);
    response.end(body);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: process.getuid() === 0 ? ['--no-sandbox'] : [],
});
const tab = await browser.newPage();
await tab.goto(`http://127.0.0.1:${server.address().port}/`);
await tab.waitForSelector('altcha-widget .altcha');

// verify() gives the solution, whose time the solver in the worker took.
async function solve(c) {
    current = c;
    const payload = await tab.evaluate(async () => (await document.querySelector('altcha-widget').verify())?.payload);
    if (!payload) {
        throw new Error(`not solved: ${JSON.stringify(c)}`);
    }
    const json = JSON.parse(Buffer.from(payload, 'base64').toString());
    const [number, ms] = c.scheme === 'v1' ? [json.number, json.took] : [json.solution.counter, json.solution.time];
    if (number !== c.at) {
        throw new Error(`solved at ${number}, not at ${c.at}`);
    }
    return ms;
}

const rounds = Number(process.env.ROUNDS || 5);
await solve(table[0]);
for (let round = 0; round < rounds; round++) {
    for (const c of table) {
        (c.ms ??= []).push(await solve(c));
    }
}
for (const { scheme, cost, at, ms } of table) {
    ms.sort((a, b) => a - b);
    console.log([name === 'ours' ? `${scheme}-ours` : scheme, cost, at, ms[rounds >> 1].toFixed(1)].join('\t'));
}
console.log(`workers\t${await tab.evaluate(() => navigator.hardwareConcurrency)}`);
await browser.close();
server.close();
