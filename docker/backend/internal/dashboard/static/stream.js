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
// One that is back has so long to show that it goes on where it ended.
const patience = 2000;

/**
 * Opens the stream. onMessage takes each frame, onLost is told of each loss, onMissed
 * when a stream that is back may have left something out.
 */
export function openStream(address, { onMessage, onLost, onMissed }) {
	let attempt = 0, answered = false;
	// The newest number (seq) that a frame had. Frames of one moment share it, and the
	// connection may end amid them: the one before it is what came in full.
	let newest;

	function connect() {
		const socket = new WebSocket(newest === undefined ? address : `${address}?since=${newest - 1}`);
		let greeted = false, resuming = false, watchdog, settled, undecided;
		const watch = () => {
			clearTimeout(watchdog);
			watchdog = setTimeout(() => socket.close(), silence);
		};
		const decide = (complete) => {
			resuming = false;
			clearTimeout(undecided);
			if (complete) return;
			newest = undefined; // whatever comes next may be numbered anew
			onMissed();
		};
		const greet = () => {
			greeted = true;
			settled = setTimeout(() => (attempt = 0), settle);
			if (answered) {
				resuming = true;
				if (newest === undefined) decide(false);
				else undecided = setTimeout(() => decide(false), patience);
			}
			answered = true;
		};
		watch();
		socket.onmessage = (event) => {
			watch();
			const frame = JSON.parse(event.data);
			if (!greeted) greet();
			if (resuming && typeof frame.resumed === "boolean") decide(frame.resumed);
			if (typeof frame.seq === "number" && frame.type !== "hello") {
				if (resuming) decide(frame.seq === newest);
				newest = Math.max(newest ?? frame.seq, frame.seq);
			}
			onMessage(frame);
		};
		socket.onclose = (event) => {
			for (const timer of [watchdog, settled, undecided]) clearTimeout(timer);
			onLost();
			setTimeout(connect, askedToWait(event.code, event.reason) + backoff(attempt++, Math.random()));
		};
	}
	connect();
}
