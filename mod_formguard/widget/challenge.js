// SPDX-License-Identifier: Apache-2.0
// The challenge page: sends what it keeps when the widget has done its work, once, and says what happens. Where it
// could keep nothing it goes back to the form with the answer in a cookie, to be shown when that is sent once more.
(() => {
    'use strict';
    const form = document.getElementById('formguard');
    const button = form.querySelector('button');
    const state = document.getElementById('formguard-state');
    const failed = document.getElementById('formguard-failed');
    let sent = false;

    const fail = (hidden) => { failed.hidden = hidden; };

    const goBack = () => {
        const path = location.pathname.includes(';') ? '/' : location.pathname;
        const answer = new FormData(form).get('altcha');
        document.cookie = `formguard-answer=${answer}; Path=${path}; Max-Age=1200; SameSite=Lax`
            + (location.protocol === 'https:' ? '; Secure' : '');
        history.back();
    };

    form.addEventListener('submit', (event) => {
        if ('back' in form.dataset) {
            event.preventDefault();
            goBack();
            return;
        }
        if (sent) {
            event.preventDefault();
            return;
        }
        sent = true;
        form.removeAttribute('data-auto');
        button.disabled = true;
        state.textContent = form.dataset.sending;
    });
    form.querySelector('altcha-widget').addEventListener('statechange', (event) => {
        const done = event.detail.state === 'verified';
        fail(event.detail.state !== 'error');
        if (done && form.hasAttribute('data-auto')) {
            // The widget puts its answer into the form after this event.
            setTimeout(() => form.requestSubmit(), 0);
        } else if (!sent) {
            // Who does not see the box hears of it.
            state.textContent = done ? form.dataset.done : '';
        }
    });
    document.querySelector('script[type=module]').addEventListener('error', () => fail(false));
    // Back at this page by the Back button: it sends no second time unless the button is pressed.
    addEventListener('pageshow', (event) => {
        if (event.persisted) {
            sent = false;
            button.disabled = false;
            state.textContent = '';
        }
    });
})();
