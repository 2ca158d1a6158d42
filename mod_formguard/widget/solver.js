// SPDX-License-Identifier: Apache-2.0
// Appended to ALTCHA's widget by `make widget`: the solver of its SHA-256 challenges, in plain JavaScript.
// The widget asks WebCrypto for each digest. That call takes some twenty times as long as the digest itself, so that
// a visitor would wait and a robot with a solver in C would not; and browsers have WebCrypto on https pages only.
{
    // The body of a worker. It speaks as the widget's own workers do: {type, challenge, counterMode, counterStart,
    // counterStep, timeout} is answered with {counter, derivedKey, time}, or null.
    const solver = () => {
        // FIPS 180-4
        const K = Int32Array.of(
            0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
            0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
            0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
            0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
            0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
            0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
            0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
            0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
        );
        const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
        const W = new Int32Array(64);

        function compress(state, bytes, at) {
            let a = state[0];
            let b = state[1];
            let c = state[2];
            let d = state[3];
            let e = state[4];
            let f = state[5];
            let g = state[6];
            let h = state[7];
            for (let i = 0; i < 16; i++, at += 4) {
                W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
            }
            for (let i = 16; i < 64; i++) {
                const x = W[i - 15];
                const y = W[i - 2];
                W[i] = (W[i - 16] + W[i - 7] + (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3))
                    + (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10))) | 0;
            }
            for (let i = 0; i < 64; i++) {
                const t = (h + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7)))
                    + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
                const u = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10)))
                    + ((a & b) ^ (a & c) ^ (b & c))) | 0;
                h = g;
                g = f;
                f = e;
                e = (d + t) | 0;
                d = c;
                c = b;
                b = a;
                a = (t + u) | 0;
            }
            state[0] += a;
            state[1] += b;
            state[2] += c;
            state[3] += d;
            state[4] += e;
            state[5] += f;
            state[6] += g;
            state[7] += h;
        }

        const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
        const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
        const state = new Int32Array(8);
        const digest = new Uint8Array(32);
        const block = new Uint8Array(128);

        // The last bytes of a message of `total`, `n` of them at the start of the block: fewer than 120.
        function finish(n, total) {
            const end = n < 56 ? 64 : 128;
            block.fill(0, n, end);
            block[n] = 0x80;
            new DataView(block.buffer).setUint32(end - 4, total * 8);
            for (let at = 0; at < end; at += 64) {
                compress(state, block, at);
            }
        }

        function bytesOfState(length) {
            for (let i = 0; i < 32; i++) {
                digest[i] = state[i >> 2] >>> (24 - 8 * (i & 3));
            }
            return digest.subarray(0, length);
        }

        // solve() tries some numbers and gives the solution, null where there is none yet.
        function prepare({ salt, nonce, keyPrefix, keyLength = 32, cost = 1 }, decimal) {
            const message = Uint8Array.of(...unhex(salt), ...unhex(nonce));
            const whole = message.length - (message.length % 64);
            const rest = message.subarray(whole);
            const before = Int32Array.from(START);
            for (let at = 0; at < whole; at += 64) {
                compress(before, message, at);
            }
            const known = Math.min(keyPrefix.length, 8);
            const shift = 32 - 4 * known;
            const want = parseInt(keyPrefix.slice(0, 8) || '0', 16);
            const number = new DataView(block.buffer);

            return function solve(counter, step, times) {
                for (; times > 0; times--, counter += step) {
                    let n = rest.length;
                    state.set(before);
                    block.set(rest);
                    if (decimal) {
                        let digits = 1;
                        for (let left = counter; left > 9; left = Math.floor(left / 10)) {
                            digits++;
                        }
                        n += digits;
                        for (let left = counter, at = n; digits > 0; digits--, left = Math.floor(left / 10)) {
                            block[--at] = 48 + (left % 10);
                        }
                    } else {
                        number.setUint32(n, counter);
                        n += 4;
                    }
                    finish(n, whole + n);
                    for (let i = 1; i < cost; i++) {
                        block.set(bytesOfState(32));
                        state.set(START);
                        finish(32, 32);
                    }
                    if (known === 0 || state[0] >>> shift === want) {
                        const derivedKey = hex(bytesOfState(keyLength));
                        if (derivedKey.startsWith(keyPrefix)) {
                            return { counter, derivedKey };
                        }
                    }
                }
                return null;
            };
        }

        let stopped;
        self.onmessage = async ({ data }) => {
            if (data.type === 'abort') {
                stopped = true;
                return;
            }
            const { challenge: { parameters }, counterMode, counterStep = 1, timeout = 9e4 } = data;
            const started = performance.now();
            const passed = () => Math.floor((performance.now() - started) * 10) / 10;
            const solve = prepare(parameters, counterMode === 'string');
            const times = Math.max(1, Math.floor(20000 / (parameters.cost || 1)));
            stopped = false;
            for (let counter = data.counterStart || 0; !stopped && passed() < timeout; counter += times * counterStep) {
                const found = solve(counter, counterStep, times);
                if (found) {
                    self.postMessage({ ...found, time: passed() });
                    return;
                }
                // Lets an abort come in.
                await new Promise((go) => setTimeout(go));
            }
            self.postMessage(null);
        };
    };

    const source = new Blob([`(${solver})()`], { type: 'text/javascript' });
    globalThis.$altcha.algorithms.set('SHA-256', () => {
        const url = URL.createObjectURL(source);
        const worker = new Worker(url, { name: 'altcha' });
        // The worker has fetched it by then.
        setTimeout(() => URL.revokeObjectURL(url), 10000);
        return worker;
    });

    // The widget looks once, when it is put into the page, and would refuse. After that everybody gets the truth again.
    const truth = Object.getOwnPropertyDescriptor(globalThis, 'isSecureContext');
    if (!globalThis.isSecureContext && truth?.configurable) {
        Object.defineProperty(globalThis, 'isSecureContext', { value: true, configurable: true });
        const restore = () => setTimeout(() => Object.defineProperty(globalThis, 'isSecureContext', truth));
        if (document.readyState === 'loading') {
            document.addEventListener('DOMContentLoaded', restore, { once: true });
        } else {
            restore();
        }
    }
}
