// SPDX-License-Identifier: Apache-2.0
// Sees to it that a captcha's answer is among the fields of its form when they are sent, by the browser or by a script
// of the page. Appended to ALTCHA's widget by `make widget`; where a service's widget needs it, FormGuardInject adds it
// to the page as /.well-known/formguard/fields.js.
//
// <input type="hidden" data-formguard="KIND"> is a field that is filled here. KIND is
//   beside                    the answer is in the widget beside it, which stands in a table that the page's parser has
//                             not put into the form: it has made this field the form's own, which a script can't
//   recaptcha-v3, -enterprise there is no widget, a token is asked for (data-sitekey, data-action)
(() => {
    'use strict';
    if (globalThis.$formguardFields) {
        return;
    }
    globalThis.$formguardFields = true;

    // Milliseconds: how long a press waits for an answer before the form is sent without one, to be told by the server,
    // and for a service's script; how long a token of reCAPTCHA is used, which is good for two minutes.
    const PATIENCE = 15000;
    const LOADING = 5000;
    const FRESH = 90000;
    // How often an answer is renewed that a script may have taken without sending the form.
    const RENEWALS = 5;

    const later = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
    const quietly = (promise) => Promise.resolve(promise).catch(() => {});

    /* --- answers ------------------------------------------------------------------------------------------------ */

    // ALTCHA's widget; `field` is the one beside it, if it needs one.
    class Altcha {
        constructor(widget, field) {
            Object.assign(this, { widget, field, spent: false, renewals: 0 });
            widget.addEventListener('statechange', ({ detail: { state } }) => { this.spent &&= state !== 'verified'; });
        }

        // One that is within its form has a box there, which sees to it that it is solved.
        get ready() {
            return !this.spent && (!this.field || (this.widget.getState?.() === 'verified' && this.value !== ''));
        }

        get value() {
            const name = this.widget.getAttribute('name') || 'altcha';
            return [...this.widget.querySelectorAll('input[type=hidden]')].find((input) => input.name === name)?.value ?? '';
        }

        async answer() {
            const { widget } = this;
            if (!widget.getState) {
                return;
            }
            if (this.spent || widget.getState() === 'expired') {
                this.spent = false;
                widget.reset();
            }
            const settled = new Promise((resolve) => {
                widget.addEventListener('statechange', function look({ detail: { state } }) {
                    if (state === 'verified' || state === 'error') {
                        widget.removeEventListener('statechange', look);
                        resolve();
                    }
                });
            });
            if (widget.getState() !== 'verifying' && widget.getState() !== 'verified') {
                quietly(widget.verify());
            }
            if (widget.getState() !== 'verified' || this.value === '') {
                await settled;
                await later(0); // it puts its answer into the form after it has told of it
            }
        }

        // While the form is filled in. Of what is within its form it takes note itself.
        begin(at) {
            if (!this.widget.closest('form')?.contains(at) && this.widget.getState?.() === 'unverified') {
                quietly(this.widget.verify());
            }
        }
    }

    // The widget of a service, which a person has to solve.
    class Beside {
        constructor(field) { this.field = field; }

        get ready() { return true; }

        get value() {
            return [...this.field.parentElement.querySelectorAll('[name]')].find((c) => c !== this.field && c.value)?.value ?? '';
        }

        begin() {}
    }

    // https://developers.google.com/recaptcha/docs/v3, https://cloud.google.com/recaptcha/docs/instrument-web-pages
    class Recaptcha {
        constructor(field) { Object.assign(this, { field, token: '', from: 0, spent: false, renewals: 0 }); }

        get ready() { return this.value !== ''; }

        get value() { return !this.spent && performance.now() - this.from < FRESH ? this.token : ''; }

        get api() {
            const { grecaptcha } = globalThis;
            return this.field.dataset.formguard === 'recaptcha-enterprise' ? grecaptcha?.enterprise : grecaptcha;
        }

        async ask() {
            for (let waited = 0; !this.api?.ready && waited < LOADING; waited += 50) {
                await later(50);
            }
            const { sitekey, action } = this.field.dataset;
            await new Promise((resolve) => { this.api.ready(resolve); });
            const token = await this.api.execute(sitekey, { action });
            Object.assign(this, { token, from: performance.now(), spent: false });
            this.field.value = token;
        }

        answer() {
            this.asking ??= this.ask().finally(() => { this.asking = undefined; });
            return this.asking;
        }

        begin() {
            if (!this.ready) {
                quietly(this.answer());
            }
        }
    }

    function answerOf(element) {
        if (element.localName === 'altcha-widget') {
            return new Altcha(element);
        }
        if (element.dataset.formguard !== 'beside') {
            return new Recaptcha(element);
        }
        const widget = element.parentElement.querySelector('altcha-widget');
        return widget ? new Altcha(widget, element) : new Beside(element);
    }

    const known = new WeakMap();

    // Of a form, as the page is now.
    function answersOf(form) {
        const fields = [...document.querySelectorAll('input[data-formguard]')].filter((field) => field.form === form);
        const widgets = [...form.querySelectorAll('altcha-widget')];
        return [...fields, ...widgets].map((element) => {
            if (!known.has(element)) {
                known.set(element, answerOf(element));
            }
            return known.get(element);
        });
    }

    function fill(answers) {
        for (const answer of answers) {
            if (answer.field) {
                answer.field.value = answer.value;
            }
        }
    }

    /* --- sending ------------------------------------------------------------------------------------------------ */

    const waiting = new WeakSet();
    // Pressed twice a browser makes a second post with the same answer and shows that it is refused, though the first
    // was accepted. form.js tells more of it and does the same for forms around their widget. Milliseconds, see there.
    const HELD = 10000;
    let sending = new WeakMap();
    let passing;
    let submitting;

    function send(form, button) {
        const submit = HTMLFormElement.prototype.requestSubmit; // a button may be called so
        passing = form;
        try {
            if (submit) {
                submit.call(form, button?.form === form ? button : null);
            } else if (button) {
                button.click();
            } else {
                HTMLFormElement.prototype.submit.call(form);
            }
        } finally {
            passing = undefined;
        }
    }

    // Waits for the answers, and then sends as it was asked for at first. Not twice, however often that is.
    async function sendAnswered(form, button, answers) {
        if (!waiting.has(form)) {
            waiting.add(form);
            await Promise.race([Promise.all(answers.map((answer) => quietly(answer.answer()))), later(PATIENCE)]);
            waiting.delete(form);
            send(form, button);
        }
    }

    addEventListener('submit', (event) => {
        const form = event.target;
        const answers = answersOf(form);
        if (performance.now() < sending.get(form)) {
            event.preventDefault();
            event.stopImmediatePropagation();
            return;
        }
        const due = answers.filter((answer) => !answer.ready);
        if (due.length > 0 && passing !== form) {
            event.preventDefault();
            event.stopImmediatePropagation();
            sendAnswered(form, event.submitter, due);
            return;
        }
        fill(answers);
        submitting = form;
        // When the page's own listeners have had their say.
        setTimeout(() => {
            submitting = undefined;
            if (event.defaultPrevented) { // a script sends it, and may do so again; an answer is good once
                for (const answer of answers) {
                    answer.spent = true;
                }
            } else if (answers.some(({ field }) => field)) {
                sending.set(form, performance.now() + HELD);
            }
        });
    }, true);

    // The fields are put together: by submit(), which makes no event of its own, or by a script's FormData, too.
    addEventListener('formdata', (event) => {
        const form = event.target;
        const answers = answersOf(form);
        fill(answers);
        for (const { field, value } of answers) {
            if (field && value) {
                event.formData.set(field.name, value);
            }
        }
        if (submitting !== form) {
            for (const answer of answers.filter(({ ready, renewals }) => ready && renewals < RENEWALS)) {
                answer.renewals++;
                setTimeout(() => {
                    answer.spent = true;
                    quietly(answer.answer?.());
                }, 2000);
            }
        }
    }, true);

    for (const type of ['focusin', 'statechange']) {
        addEventListener(type, ({ target }) => {
            const form = target?.form ?? target?.closest?.('form');
            if (type === 'focusin' && form instanceof HTMLFormElement) {
                answersOf(form).forEach((answer) => answer.begin(target));
            } else if (type === 'statechange') {
                // For scripts that read the fields without any event.
                setTimeout(() => fill([...document.querySelectorAll('input[data-formguard]')].flatMap((field) => (field.form
                    ? answersOf(field.form) : []))));
            }
        }, true);
    }

    // Kept as it was, and shown again by the Back button.
    addEventListener('pageshow', ({ persisted }) => {
        if (persisted) {
            sending = new WeakMap();
            for (const field of document.querySelectorAll('input[data-formguard]')) {
                known.delete(field);
                field.value = '';
            }
        }
    });
})();
