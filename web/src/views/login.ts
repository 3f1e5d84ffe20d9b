/** The form that one logs in with. */
import { el, labelled } from './dom.ts';

/**
 * @param login    settles when the user is in; what it is rejected with is shown by problem
 * @param said     shown at once: why he is asked again
 */
export function loginView(domain: string, login: (user: string, password: string) => Promise<void>,
	problem: (error: unknown) => string, said = ''): HTMLElement {
	const user = el('input', { name: 'username', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' });
	const password = el('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
	const button = el('button', { type: 'submit', class: 'primary' }, ['Log in']);
	const alert = el('p', { role: 'alert', class: 'problem' }, [said]);

	async function submit(event: SubmitEvent): Promise<void> {
		event.preventDefault();
		alert.textContent = '';
		button.disabled = true;
		button.textContent = 'Logging in…';
		try {
			await login(user.value, password.value);
		} catch (error) {
			alert.textContent = problem(error);
			button.disabled = false;
			button.textContent = 'Log in';
			password.select();
		}
	}

	return el('main', { class: 'login' }, [el('form', {}, [
		el('h1', {}, ['Chat']),
		labelled(`User name at ${domain}, or an address`, user),
		labelled('Password', password),
		alert, button,
	], { submit: (event) => void submit(event) })]);
}
