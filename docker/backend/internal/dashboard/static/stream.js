// The stream of what is new: one WebSocket that is opened again whenever it breaks, and
// that asks for what it missed.

const shortest = 100, longest = 15000;

/**
 * How long to wait before an attempt (0 is the first), in milliseconds: spread out, so
 * that the browsers of a stopped process do not come back at once.
 */
export const backoff = (attempt, random) => shortest + (Math.min(longest, 1000 * 2 ** attempt) - shortest) * random;

/** How long a server that closes in good order wants to be left alone, as in "retry-after=3". */
export function askedToWait(code, reason) {
	if (![1001, 1012, 1013].includes(code)) return 0;
	const seconds = /retry-after[=: ]+(\d+(?:\.\d+)?)/i.exec(reason)?.[1];
	return seconds ? Math.min(60, Number(seconds)) * 1000 : 0;
}

// A stream that says nothing for so long is broken, whatever the connection claims.
const silence = 20000;
// One that lasted so long had no trouble to begin with.
const settle = 10000;
/**
 * Opens the stream. Signals are told once, so it asks for those after the newest, which
 * is the ID of the last that is known, if any; all else replaces what was said before.
 * onMessage takes each frame, onLost is told of each loss, onMissed when a stream has left
 * something out.
 */
export function openStream(address, { newest, onMessage, onLost, onMissed }) {
	let attempt = 0, answered = false;

	function connect() {
		const since = newest;
		const socket = new WebSocket(since === undefined ? address : `${address}?since=${since}`);
		let greeted = false, watchdog, settled;
		const watch = () => {
			clearTimeout(watchdog);
			watchdog = setTimeout(() => socket.close(), silence);
		};
		const greet = ({ last_signal: last }) => {
			greeted = true;
			settled = setTimeout(() => (attempt = 0), settle);
			const resumed = since !== undefined && last >= since;
			if (!resumed) newest = last;
			if (answered && !resumed) onMissed();
			answered = true;
		};
		watch();
		socket.onmessage = (event) => {
			watch();
			const frame = JSON.parse(event.data);
			if (!greeted) greet(frame);
			// The server does not remember all that was asked for.
			if (frame.type === "gap") onMissed();
			if (newest !== undefined && frame.type === "signal") newest = Math.max(newest, frame.signal.id);
			onMessage(frame);
		};
		socket.onclose = (event) => {
			for (const timer of [watchdog, settled]) clearTimeout(timer);
			onLost();
			setTimeout(connect, askedToWait(event.code, event.reason) + backoff(attempt++, Math.random()));
		};
	}
	connect();
}
