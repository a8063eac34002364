import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Side as SideType, Signal } from "./api";
import * as format from "./format";
import { Ago, Card, Change, Confidence, Empty, Lacking, Side, SymbolLink, Waiting } from "./parts";
import { useResource } from "./resource";
import { address, setQuery } from "./router";
import { api, freshSignals, lacks } from "./store";

const limit = 100;

export function Signals() {
  const { query } = address.value;
  const { latest, active } = { latest: !lacks("latest"), active: !lacks("active") };
  const which = active && (query.get("state") === "active" || !latest) ? "active" : "latest";
  const side = (["buy", "sell"] as SideType[]).find((s) => s === query.get("type"));
  const symbol = query.get("symbol") ?? "";
  const confidence = Number(query.get("confidence") ?? 0) || 0;

  const list = useResource(
    `${which} ${side} ${symbol}`,
    (abort) => api.signals(which, { type: side, symbol, limit }, abort),
    10_000,
  );
  const fits = (s: Signal) =>
    (which === "latest" || s.status === "active") && (!side || s.signal_type === side) && (!symbol || s.symbol === symbol) && (s.confidence ?? 0) >= confidence;
  const items = list.data && merge(freshSignals.value, list.data.items).filter(fits).slice(0, limit);
  const hasConfidence = !items || items.length === 0 || items.some((s) => s.confidence != null);
  if (list.absent) {
    return (
      <>
        <h1>Signals</h1>
        <Lacking what="list of signals" path={`/api/signals/${which}`} retry={list.reload} />
      </>
    );
  }

  return (
    <>
      <h1>Signals</h1>
      <form class="filters" onSubmit={(e) => e.preventDefault()}>
        {latest && active && (
          <Choice
            name="State"
            value={which}
            options={[
              ["latest", "All"],
              ["active", "Active"],
            ]}
            onChoose={(v) => setQuery({ state: v === "active" ? v : "" })}
          />
        )}
        <Choice
          name="Type"
          value={side ?? ""}
          options={[
            ["", "All"],
            ["buy", "Buy"],
            ["sell", "Sell"],
          ]}
          onChoose={(v) => setQuery({ type: v })}
        />
        <label class="grow">
          <span>Symbol</span>
          <SymbolInput symbol={symbol} onChoose={(v) => setQuery({ symbol: v })} />
        </label>
        {hasConfidence && (
          <label class="range">
            <span>Confidence from {format.share(confidence)}</span>
            <input type="range" min="0" max="0.95" step="0.05" value={confidence} onInput={(e) => setQuery({ confidence: Number(e.currentTarget.value) > 0 ? e.currentTarget.value : "" })} />
          </label>
        )}
      </form>
      <Card title={which === "active" ? "Active signals" : "Latest signals"} aside={items && <span class="muted small">{format.count(items.length)} shown</span>}>
        {!items && <Waiting of={list} rows={12} />}
        {items?.length === 0 && <Empty title="No signal fits">Widen the filters, or wait: new ones appear by themselves.</Empty>}
        {items && items.length > 0 && <SignalTable items={items} />}
      </Card>
    </>
  );
}

export function SignalTable({ items, ofOneSymbol }: { items: Signal[]; ofOneSymbol?: boolean }) {
  const shows = {
    indicator: items.some((s) => s.indicator != null),
    price: items.some((s) => s.price != null),
    confidence: items.some((s) => s.confidence != null),
    outcome: items.some((s) => s.outcome_pct != null || s.status != null),
  };
  return (
    <table class="signals" data-testid="signals">
      <thead>
        <tr>
          <th>Type</th>
          {!ofOneSymbol && <th>Symbol</th>}
          {shows.indicator && <th class={ofOneSymbol ? "" : "roomy"}>Indicator</th>}
          {shows.price && <th class="number roomy">Price</th>}
          {shows.confidence && <th class="roomy apart">Confidence</th>}
          <th class={`number ${shows.outcome ? "" : "under"}`}>{shows.outcome ? "Outcome" : "When"}</th>
          <th class="number roomy">When</th>
        </tr>
      </thead>
      <tbody>
        {items.map((s) => (
          <tr key={s.id} data-id={s.id}>
            <td>
              <Side type={s.signal_type} />
            </td>
            {!ofOneSymbol && (
              <td>
                <SymbolLink symbol={s.symbol} />
                <Under>{[s.indicator && format.label(s.indicator), s.price != null && `at ${format.price(s.price)}`].filter(Boolean).join(" ")}</Under>
              </td>
            )}
            {shows.indicator && (
              <td class={ofOneSymbol ? "" : "roomy"}>
                {s.indicator && format.label(s.indicator)}
                {ofOneSymbol && s.price != null && <Under>at {format.price(s.price)}</Under>}
              </td>
            )}
            {shows.price && <td class="number roomy">{s.price != null && format.price(s.price)}</td>}
            {shows.confidence && <td class="roomy apart">{s.confidence != null && <Confidence value={s.confidence} />}</td>}
            <td class={`number ${shows.outcome ? "" : "under"}`}>
              {s.outcome_pct != null ? <Change value={s.outcome_pct} /> : s.status && <span class="muted">{format.label(s.status)}</span>}
              <Under>
                <Ago time={s.ts} />
              </Under>
            </td>
            <td class="number roomy muted">
              <Ago time={s.ts} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

// On a phone, where columns are left out, their content stands below another.
function Under({ children }: { children: ComponentChildren }) {
  return <span class="under">{children}</span>;
}

/** The stream's news and the list, each signal once, the newest first. */
export function merge(fresh: Signal[], listed: Signal[]): Signal[] {
  // The list is read later than the news arrived, so its word on a signal counts.
  const known = new Map([...fresh, ...listed].map((s) => [s.id, s]));
  return [...known.values()].sort((a, b) => Date.parse(b.ts) - Date.parse(a.ts) || b.id - a.id);
}

// What is being typed is kept here: the stream draws the page again at any moment, and
// would put the chosen symbol back over half a word.
function SymbolInput({ symbol, onChoose }: { symbol: string; onChoose: (symbol: string) => void }) {
  const [typed, setTyped] = useState(symbol);
  useEffect(() => setTyped(symbol), [symbol]);
  return (
    <input
      type="search"
      placeholder="Any, or one in full"
      value={typed}
      onInput={(e) => setTyped(e.currentTarget.value)}
      onChange={(e) => onChoose(e.currentTarget.value.trim().toUpperCase())}
      autocomplete="off"
      spellcheck={false}
    />
  );
}

function Choice({ name, value, options, onChoose }: { name: string; value: string; options: [value: string, text: string][]; onChoose: (value: string) => void }) {
  return (
    <fieldset class="choice">
      <legend>{name}</legend>
      <div>
        {options.map(([option, text]) => (
          <label key={option}>
            <input type="radio" name={name} checked={option === value} onChange={() => onChoose(option)} />
            <span>{text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
