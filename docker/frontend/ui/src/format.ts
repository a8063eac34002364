// How numbers and times are written, in one place.

const digits = (value: number): number => {
  const size = Math.abs(value);
  return size >= 100 ? 2 : size >= 1 ? 4 : 6;
};

const formats = new Map<string, Intl.NumberFormat>();
function number(value: number, options: Intl.NumberFormatOptions): string {
  const key = JSON.stringify(options);
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat("en-US", options)));
  return format.format(value);
}

/** The decimals that a price of this size is written with. */
export const priceDigits = digits;

export const price = (value: number): string =>
  number(value, { minimumFractionDigits: digits(value), maximumFractionDigits: digits(value) });

/** A difference in percent, with its sign: 1.5 is +1.50 %. */
export const percent = (value: number): string =>
  number(zero(value, 2), { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" }) + " %";

/** A share between 0 and 1: 0.573 is 57 %. */
export const share = (value: number): string => number(value * 100, { maximumFractionDigits: 0 }) + " %";

export const money = (value: number): string =>
  number(zero(value, 2), { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });

export const amount = (value: number): string => number(value, { maximumSignificantDigits: 6 });

export const count = (value: number): string => number(value, { maximumFractionDigits: 0 });

export const compact = (value: number): string =>
  number(value, { notation: "compact", maximumFractionDigits: 2 });

/** rsi_reversal is RSI reversal, ema is EMA: the API's names, readable. */
export function label(name: string): string {
  const words = name.replace(/[_-]+/g, " ").trim().split(" ");
  return words
    .map((word, i) =>
      /^(rsi|ema|sma|macd|atr|bb|vwap|adx)$/i.test(word) ? word.toUpperCase() : i === 0 ? word.charAt(0).toUpperCase() + word.slice(1) : word,
    )
    .join(" ");
}

/** What an API says, as a sentence. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** How long ago a moment was, in its largest unit. */
export function ago(time: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (Number.isNaN(seconds)) return "–";
  if (seconds < 5) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

// Without this a change of -0.001 would be written as -0.00.
function zero(value: number, decimals: number): number {
  return Math.abs(value) < 0.5 / 10 ** decimals ? 0 : value;
}
