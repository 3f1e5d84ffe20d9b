// A browser for tests in other languages.  Each line of standard input is a command in JSON, each line of
// output its answer: {"id", "result"} or {"id", "error"}.  Things on a page are named as people and screen
// readers find them: {"role", "name"}, {"label"}, {"text"}.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const PATIENCE = 60000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8');
const [executablePath] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--disable-dev-shm-usage', '--disable-gpu'] });
const pages = new Map();

function find(page, { role, name, label, text, exact = false, within }) {
	const scope = within ? find(page, within) : page;

	if (role)
		return scope.getByRole(role, { name, exact });
	return label ? scope.getByLabel(label, { exact }) : scope.getByText(text, { exact });
}

const commands = {
	async open(_, { page, url, options }) {
		const context = await browser.newContext(options);
		const opened = await context.newPage();
		const said = [];

		opened.setDefaultTimeout(PATIENCE);
		opened.on('console', (message) => ['error', 'warning'].includes(message.type()) && said.push(message.text()));
		opened.on('pageerror', (error) => said.push(String(error)));
		const tab = { page: opened, said, file: '' };

		opened.on('filechooser', (chooser) => void chooser.setFiles(tab.file));
		pages.set(page, tab);
		await opened.goto(url);
	},
	async close({ page }, { page: name }) {
		pages.delete(name);
		await page.context().close();
	},
	see: ({ page }, { what }) => find(page, what).first().waitFor(),
	gone: ({ page }, { what }) => find(page, what).first().waitFor({ state: 'hidden' }),
	count: ({ page }, { what }) => find(page, what).count(),
	click: ({ page }, { what }) => find(page, what).first().click(),
	/** As a person can: not behind a dialog, where the text would go to whatever has the focus. */
	async fill({ page }, { what, value }) {
		const field = find(page, what).first();

		await field.click({ trial: true });
		await field.fill(value);
	},
	choose: ({ page }, { what, value }) => find(page, what).first().selectOption(value),
	value: ({ page }, { what }) => find(page, what).first().inputValue(),
	texts: ({ page }, { what }) => find(page, what).allInnerTexts(),
	upload: ({ page }, { what, file }) => find(page, what).first().setInputFiles(file),
	press: ({ page }, { key }) => page.keyboard.press(key),
	type: ({ page }, { text }) => page.keyboard.type(text),
	focused: ({ page }) => page.evaluate(() => {
		const { activeElement } = document;

		return activeElement?.getAttribute('aria-label') ?? activeElement?.labels?.[0]?.textContent ?? activeElement?.textContent;
	}),
	/** What is chosen when the page asks for a file. */
	choose_file(tab, { file }) {
		tab.file = file;
	},
	/** What is wider than its place: one would have to scroll sideways. */
	wide: ({ page }) => page.evaluate(() => [document.documentElement, ...document.querySelectorAll('body, main, nav, .log')]
		.filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).map(({ tagName, className }) => `${tagName} ${className}`)),
	/** From now on: which progress bars are shown. */
	watch: ({ page }) => page.evaluate(() => {
		window.bars = new Set();
		new MutationObserver(() => document.querySelectorAll('progress').forEach((bar) => window.bars.add(bar.ariaLabel)))
			.observe(document.body, { childList: true, subtree: true });
	}),
	watched: ({ page }) => page.evaluate(() => [...window.bars]),
	/** Click on it, and save what it gives. @return its SHA-256 */
	async save({ page }, { what }) {
		const [download] = await Promise.all([page.waitForEvent('download'), find(page, what).first().click()]);

		return createHash('sha256').update(readFileSync(await download.path())).digest('hex');
	},
	reload: ({ page }) => page.reload(),
	size: ({ page }, { width, height }) => page.setViewportSize({ width, height }),
	dark: ({ page }, { on }) => page.emulateMedia({ colorScheme: on ? 'dark' : 'light' }),
	shot: ({ page }, { file }) => page.screenshot({ path: file }),
	said: ({ said }) => said,
	/** What axe-core finds: WCAG 2.2 AA and its best practices. */
	async axe({ page }) {
		await page.evaluate(axe);
		const { violations } = await page.evaluate(() => window.axe.run(document, {
			runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));

		return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ').slice(0, 400)}`);
	},
};

async function run({ id, do: command, ...rest }) {
	try {
		const result = await commands[command](pages.get(rest.page) ?? {}, rest);

		console.log(JSON.stringify({ id, result: result ?? null }));
	} catch (error) {
		console.log(JSON.stringify({ id, error: String(error).slice(0, 2000) }));
	}
}

console.log(JSON.stringify({ id: 0, result: browser.version() }));
for await (const line of createInterface({ input: process.stdin }))
	await run(JSON.parse(line));
await browser.close();
