// SPDX-License-Identifier: Apache-2.0
// Appended to ALTCHA's widget by `make widget`: what keeps the message of a form with it from being sent twice, and from
// being held up by a solution that is too old.
{
    // Pressed twice, a browser drops the answer to the first post and makes a second one with the same solution. That
    // one is refused, and so says the page which is shown, though the message has arrived. Nor for ever: what the first
    // press began may have been stopped, or have ended in a file to save.
    const HELD = 10000;
    let sending = new WeakMap();
    addEventListener('submit', (event) => {
        const form = event.target;
        if (performance.now() < sending.get(form) || unchecked(event)) {
            event.preventDefault();
            event.stopImmediatePropagation();
        } else if (form.querySelector('altcha-widget')) {
            // Once the page's own listeners have had their say: what they take over is theirs.
            setTimeout(() => {
                if (!event.defaultPrevented) {
                    sending.set(form, performance.now() + HELD);
                }
            });
        }
    }, true);
    // By the Back button at a page that was kept as it was.
    addEventListener('pageshow', (event) => {
        if (event.persisted) {
            sending = new WeakMap();
        }
    });

    // Pressed before the widget is done, which has begun by itself: sent as soon as it is. It has its box as a field that
    // must be filled in, so the browser would only say so, and who looks away takes the message for sent.
    const states = new WeakMap();
    let pressed = null;
    let waiting = null;
    const waits = (widget, form, button) => {
        if ([undefined, 'unverified', 'expired'].includes(states.get(widget))) {
            widget.verify();
        }
        if (states.get(widget) !== 'verifying') {
            return false;
        }
        waiting = { widget, form, button };
        return true;
    };
    addEventListener('click', (event) => {
        const button = event.target.closest?.('button, input');
        if (button?.form && ['submit', 'image'].includes(button.type)) {
            pressed = { button, at: event.timeStamp };
        }
    }, true);
    addEventListener('invalid', (event) => {
        const widget = event.target.closest('altcha-widget');
        const { form } = event.target;
        if (widget?.getAttribute('auto') !== 'onfocus' || pressed?.button.form !== form
            || event.timeStamp - pressed.at > 1000 || form.querySelectorAll(':is(input, select, textarea):invalid').length > 1) {
            return;
        }
        if (waits(widget, form, pressed.button)) {
            event.preventDefault();
        }
    }, true);
    // The same of a form whose fields the browser does not check, since a script does: it posts without a solution.
    const unchecked = ({ target: form, submitter }) => {
        const widget = form.querySelector('altcha-widget[auto=onfocus]');
        return widget && (form.noValidate || submitter?.formNoValidate) && waits(widget, form, submitter);
    };
    const go = (widget, state) => {
        if (waiting?.widget === widget && ['verified', 'error'].includes(state)) {
            const { form, button } = waiting;
            waiting = null;
            if (state === 'verified' && (!button || button.form === form)) {
                form.requestSubmit(button);
            }
        }
    };

    // A solution that has grown old while somebody was typing: the widget wants its box pressed then, also where it
    // began by itself. One that is said to be old while it is looked for is so by a wrong clock: it is good here.
    const renew = (widget, auto) => {
        widget.reset();
        if (auto === 'onload' || (auto === 'onfocus' && widget.closest('form')?.matches(':focus-within'))) {
            widget.verify();
        }
    };
    addEventListener('statechange', (event) => {
        const widget = event.target;
        const state = event.detail?.state;
        const aged = state === 'expired' && states.get(widget) === 'verified';
        const auto = widget.getAttribute?.('auto');
        states.set(widget, state);
        // The widget puts its answer into the form, and changes its box, after this event.
        setTimeout(() => {
            go(widget, state);
            if (aged && auto && auto !== 'off') {
                renew(widget, auto);
            }
        });
    }, true);
}
