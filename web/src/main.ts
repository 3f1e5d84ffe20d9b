/** Where the page begins. */
import { Chat } from './chat.ts';
import { loadConfig, type Config } from './config.ts';
import { loginView } from './views/login.ts';
import { PageView } from './views/page.ts';
import { inWords } from './words.ts';

function show(element: HTMLElement): void {
	document.body.replaceChildren(element);
	element.querySelector('input')?.focus();
}

function showLogin(config: Config, said = ''): void {
	show(loginView(config.domain, async (user, password) => {
		const chat = new Chat(config, user, password);

		await chat.start();
		showPage(config, chat);
	}, inWords, said));
}

function showPage(config: Config, chat: Chat): void {
	const page = new PageView(chat, () => logOut());
	const logOut = (said = ''): void => {
		chat.stop();
		page.end();
		showLogin(config, said);
	};

	chat.onStatus.on(() => {
		if (chat.status === 'refused')
			logOut('You have been logged out');
	});
	show(page.element);
}

showLogin(await loadConfig());
