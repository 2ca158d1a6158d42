// SPDX-License-Identifier: Apache-2.0
// Served where `make widget` has not put ALTCHA's widget: an element of the same name with as much of that as the pages
// and forms of this module need, in English and Japanese. The solver stands behind it as it does behind ALTCHA's.
globalThis.$altcha = { algorithms: new Map() };
{
    const TEXTS = {
        en: {
            unverified: 'I am not a robot', verifying: 'Checking...', verified: 'Checked: no robot',
            expired: 'The check has expired. Please press the box again.',
            error: 'The check has failed. Please press the box again.',
        },
        ja: {
            unverified: '私はロボットではありません', verifying: '確認しています…', verified: '確認できました',
            expired: '確認の有効期限が切れました。もう一度押してください。',
            error: '確認できませんでした。もう一度押してください。',
        },
    };
    const STYLE = 'display:inline-flex;align-items:center;gap:.75rem;max-width:100%;box-sizing:border-box;min-height:3rem;'
        + 'padding:.5rem 1rem;border:1px solid;border-radius:.25rem;text-align:start';
    const hex = (text) => Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, '0')).join('');

    // The number whose digest is asked for, by as many workers as there are processors.
    const solve = async ({ salt, challenge }, signal) => {
        const workers = Array.from({ length: Math.min(navigator.hardwareConcurrency || 2, 16) },
            () => $altcha.algorithms.get('SHA-256')());
        try {
            return await new Promise((found, failed) => {
                let left = workers.length;
                signal.addEventListener('abort', failed);
                workers.forEach((worker, counterStart) => {
                    worker.onerror = failed;
                    worker.onmessage = ({ data }) => {
                        if (data) {
                            found(data);
                        } else if (--left === 0) {
                            failed();
                        }
                    };
                    worker.postMessage({
                        type: 'work', counterMode: 'string', counterStart, counterStep: workers.length,
                        challenge: { parameters: { salt: hex(salt), nonce: '', keyPrefix: challenge, keyLength: 32, cost: 1 } },
                    });
                });
            });
        } finally {
            workers.forEach((worker) => worker.terminate());
        }
    };

    class Widget extends HTMLElement {
        #frame;
        #box;
        #text;
        #field;
        #state = 'unverified';
        #work = null;
        #old = 0;

        connectedCallback() {
            if (!this.#frame) {
                this.#build();
            }
            this.#form = this.closest('form');
            this.#form?.addEventListener('focusin', this.#onFocus);
            this.#form?.addEventListener('submit', this.#onSubmit);
            this.#form?.addEventListener('reset', this.#onReset);
            addEventListener('pageshow', this.#onShow);
            if (this.getAttribute('auto') === 'onload') {
                setTimeout(() => this.verify());
            } else if (this.#form?.matches(':focus-within')) {
                this.#onFocus();
            }
        }

        disconnectedCallback() {
            this.#form?.removeEventListener('focusin', this.#onFocus);
            this.#form?.removeEventListener('submit', this.#onSubmit);
            this.#form?.removeEventListener('reset', this.#onReset);
            removeEventListener('pageshow', this.#onShow);
            this.#stop();
        }

        #form = null;
        #onFocus = () => {
            if (this.getAttribute('auto') === 'onfocus' && this.#state === 'unverified') {
                setTimeout(() => this.verify());
            }
        };
        #onSubmit = async (event) => {
            if (this.getAttribute('auto') === 'onsubmit' && this.#state !== 'verified') {
                event.preventDefault();
                await this.verify();
                if (this.#state === 'verified') {
                    this.#form.requestSubmit(event.submitter);
                }
            }
        };
        #onReset = () => this.reset();
        #onShow = (event) => event.persisted && this.reset();

        #build() {
            const tag = this.getAttribute('language') || this.closest('[lang]')?.lang || navigator.language || '';
            const language = tag.toLowerCase().startsWith('ja') ? 'ja' : 'en';
            this.#frame = document.createElement('label');
            this.#frame.className = 'altcha altcha-main';
            this.#frame.style.cssText = STYLE;
            this.#frame.lang = language;
            this.#box = document.createElement('input');
            this.#box.type = 'checkbox';
            this.#box.style.cssText = 'width:1.5rem;height:1.5rem;flex:none;margin:0';
            this.#box.required = this.getAttribute('auto') !== 'onsubmit';
            this.#box.addEventListener('change', () => {
                this.#box.checked = this.#state === 'verified';
                if (!['verified', 'verifying'].includes(this.#state)) {
                    this.verify();
                }
            });
            this.#text = document.createElement('span');
            this.#text.setAttribute('aria-live', 'polite');
            this.#field = document.createElement('input');
            this.#field.type = 'hidden';
            this.#field.name = this.getAttribute('name') || 'altcha';
            this.#frame.append(this.#box, this.#text);
            this.append(this.#frame, this.#field);
            this.#show('unverified', '');
        }

        #show(state, payload) {
            const { lang } = this.#frame;
            this.#state = state;
            this.#frame.dataset.state = state;
            this.#box.checked = state === 'verified';
            this.#box.indeterminate = state === 'verifying';
            this.#text.textContent = TEXTS[lang][state];
            this.#field.value = payload;
        }

        #go(state, payload = '') {
            this.#show(state, payload);
            this.dispatchEvent(new CustomEvent('statechange', { detail: { state, payload: payload || null } }));
        }

        #stop() {
            this.#work?.abort();
            this.#work = null;
            clearTimeout(this.#old);
        }

        reset() {
            this.#stop();
            this.#go('unverified');
        }

        async verify() {
            this.#stop();
            const work = new AbortController();
            this.#work = work;
            this.#go('verifying');
            try {
                const answer = await fetch(this.getAttribute('challenge'), { signal: work.signal });
                const challenge = await answer.json();
                if (!answer.ok || challenge.algorithm !== 'SHA-256') {
                    throw new Error(challenge.error);
                }
                const { counter, time } = await solve(challenge, work.signal);
                if (this.#work === work) {
                    this.#done(challenge, counter, time);
                }
            } catch {
                if (this.#work === work) {
                    this.#go('error');
                }
            }
        }

        #done({ algorithm, challenge, salt, signature }, number, took) {
            const expires = Number(new URLSearchParams(salt.split('?')[1]).get('expires')) * 1000;
            // A wrong clock is no reason to ask again at once.
            if (expires > Date.now()) {
                this.#old = setTimeout(() => this.#go('expired'), expires - Date.now());
            }
            this.#go('verified', btoa(JSON.stringify({ algorithm, challenge, number, salt, signature, took })));
        }
    }
    // What stands behind this in the script is there first.
    setTimeout(() => customElements.get('altcha-widget') || customElements.define('altcha-widget', Widget));
}
