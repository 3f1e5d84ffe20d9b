#!/bin/sh
# Playwright's fill() succeeds on a field that an open modal <dialog> makes inert.  The field cannot take
# the focus, so the text goes to whatever in the dialog has it, and the field stays empty.  click() waits,
# since it looks at what would receive the event; fill() asks for visible, enabled and editable alone, and
# an inert field is all that.  Debian's chromium has to be installed.
. "$(dirname "$0")/lib.sh"
cd "$tmp"
npm install --silent --ignore-scripts --no-audit --no-fund playwright-core@1.65.1
echo "With playwright-core@1.65.1, $(chromium --version 2>/dev/null):"
cat >finding.mjs <<'J'
import { chromium } from 'playwright-core';

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--disable-gpu'] });
const page = await browser.newPage();

await page.setContent(`<label>Message <input id="message"></label>
	<dialog><label>Nickname <input id="nickname"></label></dialog>`);
await page.evaluate(() => document.querySelector('dialog').showModal());
const message = page.getByLabel('Message');
const done = (promise) => promise.then(() => 'done', (error) => error.name);

console.log(`fill: ${await done(message.fill('hello', { timeout: 3000 }))}`);
console.log(`message "${await message.inputValue()}"`);
console.log(`nickname "${await page.getByLabel('Nickname').inputValue()}"`);
console.log(`click: ${await done(message.click({ timeout: 3000 }))}`);
await browser.close();
J
HOME="$tmp" timeout 60 node finding.mjs | judge 'fill: done
message ""
nickname "hello"
click: TimeoutError'
