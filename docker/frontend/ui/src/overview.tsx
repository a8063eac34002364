import type { Quote } from "./api";
import * as format from "./format";
import { Ago, Card, Change, Confidence, direction, Empty, Failure, LiveChange, Living, Price, QuoteRow, Side, Skeleton, Spark, Star, SymbolLink } from "./parts";
import { useResource } from "./resource";
import { api, freshSignals, learn, pnl, positions, quote, status, statusError, watchlist } from "./store";

const shownPrices = 8;
const shownSignals = 9;

export function Overview() {
  return (
    <>
      <h1 class="hidden">Overview</h1>
      <Figures />
      <div class="columns">
        <Prices />
        <ActiveSignals />
      </div>
      <div class="thirds">
        <Movers title="Top gainers" of={(s) => s.top_gainers} />
        <Movers title="Top losers" of={(s) => s.top_losers} />
        <Positions />
      </div>
    </>
  );
}

function Figures() {
  const market = status.value;
  const profit = pnl.value;
  const history = useResource("pnl", async (abort) => (await api.pnlHistory("1m", 120, abort)).items.map((p) => p.realized + p.unrealized), 60_000);
  if (!market || !profit) {
    if (statusError.value) return <Empty title="The market's status is not available">It is asked for again every few seconds.</Empty>;
    return (
      <div class="figures">
        {[0, 1, 2, 3].map((i) => (
          <section class="card figure" key={i}>
            <Skeleton rows={2} />
          </section>
        ))}
      </div>
    );
  }
  const stopped = market.status === "stale";
  const moving = Math.max(1, market.advancers + market.decliners + market.unchanged);
  return (
    <div class="figures">
      <section class="card figure">
        <h2>Market</h2>
        <p class={`big capital ${stopped ? "warn" : ""}`}>{market.status}</p>
        <svg class="breadth" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
          <rect class="up" width={(market.advancers / moving) * 100} height="4" />
          <rect class="down" x={100 - (market.decliners / moving) * 100} width={(market.decliners / moving) * 100} height="4" />
        </svg>
        {stopped ? (
          <p class="note">
            No new prices since <Ago time={market.updated_at} />
          </p>
        ) : (
          <p class="note">
            <span class="up">{format.count(market.advancers)} up</span> · <span class="down">{format.count(market.decliners)} down</span>
            <span class="roomy"> of {format.count(market.symbols)}</span>
          </p>
        )}
      </section>
      <section class="card figure">
        <h2>
          PnL{market.trading === "paper" ? " on paper" : `, trading ${market.trading}`}
        </h2>
        <p class={`big ${direction(profit.total)}`} data-testid="pnl">
          <Living value={profit.total} text={format.money(profit.total)} />
        </p>
        <p class="note">
          {format.money(profit.realized)} realized · {format.money(profit.unrealized)} open
        </p>
        {(history.data?.length ?? 0) > 4 && <Spark values={[...history.data!, profit.total]} label="Total PnL over the last two hours" />}
      </section>
      <section class="card figure">
        <h2>Active signals</h2>
        <p class="big">{format.count(market.active_signals)}</p>
        <p class="note">
          <a href="/signals">See all signals</a>
        </p>
      </section>
      <section class="card figure">
        <h2>Signal accuracy</h2>
        <p class="big">{market.signal_accuracy === null ? "–" : format.share(market.signal_accuracy)}</p>
        <p class="note">{market.signal_accuracy === null ? "No signal has been scored yet" : "of all scored signals were right"}</p>
      </section>
    </div>
  );
}

function Prices() {
  const watched = watchlist.value;
  const popular = useResource("popular", async (abort) => {
    const page = await api.symbols({ sort: "volume", limit: shownPrices }, abort);
    learn(page.items);
    return page.items.map((q) => q.symbol);
  }, 15_000);
  const symbols = watched.length > 0 ? watched : popular.data;
  return (
    <Card
      title={watched.length > 0 ? "Watchlist" : "Most traded"}
      aside={
        <a class="more" href="/symbols">
          All markets
        </a>
      }
    >
      {symbols === undefined && (popular.error ? <Failure message={popular.error} retry={popular.reload} /> : <Skeleton rows={shownPrices} />)}
      {symbols?.length === 0 && <Empty title="No prices yet">The engine has not written its first prices. They appear here by themselves.</Empty>}
      {symbols && symbols.length > 0 && (
        <table>
          <thead>
            <tr>
              <th>
                <span class="hidden">Watch</span>
              </th>
              <th>Symbol</th>
              <th class="number">Price</th>
              <th class="number">24 h</th>
              <th class="roomy">Last hour</th>
              <th class="number roomy">Volume</th>
            </tr>
          </thead>
          <tbody>
            {symbols.map((symbol, i) => (
              <PriceRow key={symbol} symbol={symbol} past={i < shownPrices} />
            ))}
          </tbody>
        </table>
      )}
      {watched.length === 0 && symbols && symbols.length > 0 && <p class="hint">Star a symbol to put it here instead.</p>}
    </Card>
  );
}

// A line costs a request, and the edge limits those: past asks for it, which a long
// watchlist does for its first rows only.
function PriceRow({ symbol, past }: { symbol: string; past: boolean }) {
  const history = useResource(`spark ${symbol} ${past}`, async (abort) => (past ? (await api.candles(symbol, "1m", 60, abort)).items.map((c) => c.close) : []));
  const current = quote(symbol).value;
  const values = [...(history.data ?? []), ...(current ? [current.price] : [])];
  return (
    <tr>
      <td class="tight">
        <Star symbol={symbol} />
      </td>
      <td>
        <SymbolLink symbol={symbol} />
      </td>
      <td class="number">
        <Price symbol={symbol} />
      </td>
      <td class="number">
        <LiveChange symbol={symbol} />
      </td>
      <td class="roomy">
        <Spark values={values} label={`${symbol} over the last hour`} />
      </td>
      <td class="number roomy muted">{current ? format.compact(current.volume) : "–"}</td>
    </tr>
  );
}

function ActiveSignals() {
  const { data, error, reload } = useResource(`active`, (abort) => api.signals("active", { limit: shownSignals }, abort), 10_000);
  const items = [...freshSignals.value.filter((s) => s.status === "active" && !data?.items.some((d) => d.id === s.id)), ...(data?.items ?? [])].slice(0, shownSignals);
  return (
    <Card
      title="Active signals"
      aside={
        <a class="more" href="/signals">
          All signals
        </a>
      }
    >
      {!data && (error ? <Failure message={error} retry={reload} /> : <Skeleton rows={shownSignals} />)}
      {data && items.length === 0 && <Empty title="No active signal">New ones appear here as soon as the engine finds them.</Empty>}
      {data && items.length > 0 && (
        <ul class="rows">
          {items.map((s) => (
            <li class="row" key={s.id}>
              <Side type={s.signal_type} />
              <span class="stack">
                <SymbolLink symbol={s.symbol} />
                <span class="muted small">
                  {format.label(s.indicator)} · <Ago time={s.ts} />
                </span>
              </span>
              <Confidence value={s.confidence} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Movers({ title, of }: { title: string; of: (market: NonNullable<typeof status.value>) => Quote[] }) {
  const market = status.value;
  const items = market ? of(market).slice(0, 5) : undefined;
  return (
    <Card title={title}>
      {items === undefined && <Skeleton rows={5} />}
      {items?.length === 0 && <Empty title="Nothing moved yet" />}
      {items && items.length > 0 && (
        <ul class="rows">
          {items.map((item) => (
            <QuoteRow key={item.symbol} item={item} />
          ))}
        </ul>
      )}
    </Card>
  );
}

function Positions() {
  const { data, error, reload } = useResource("positions", (abort) => api.positions(abort));
  const all = positions.value ?? data?.items;
  const items = all?.slice(0, 5);
  return (
    <Card title="Open positions" aside={all && all.length > 5 && <span class="muted small">the largest of {format.count(all.length)}</span>}>
      {!items && (error ? <Failure message={error} retry={reload} /> : <Skeleton rows={5} />)}
      {items?.length === 0 && <Empty title="No open position" />}
      {items && items.length > 0 && (
        <ul class="rows">
          {items.map((p) => (
            <li class="row" key={p.symbol}>
              <span class="stack">
                <SymbolLink symbol={p.symbol} />
                <span class="muted small">
                  {p.quantity < 0 ? "Short" : "Long"} {format.amount(Math.abs(p.quantity))} at {format.price(p.entry_price)}
                </span>
              </span>
              <span class="stack number">
                <Living class={direction(p.pnl)} value={p.pnl} text={format.money(p.pnl)} />
                <Change value={(p.price / p.entry_price - 1) * 100 * Math.sign(p.quantity || 1)} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
