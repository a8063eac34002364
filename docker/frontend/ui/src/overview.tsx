import { useEffect } from "preact/hooks";
import type { MarketStatus, Part, Quote } from "./api";
import * as format from "./format";
import { Ago, Card, Change, Confidence, direction, Empty, Failure, Living, Price, LiveChange, QuoteRow, Side, Skeleton, Spark, Star, SymbolLink, Waiting } from "./parts";
import { useResource } from "./resource";
import { api, askAnew, connection, epoch, freshSignals, lacks, learn, pnl, positions, quote, refreshStatus, status, statusError, watchlist } from "./store";

const shownPrices = 8;
const shownSignals = 9;

const parts: Part[] = ["status", "symbols", "active", "positions", "pnl"];

export function Overview() {
  if (parts.every((part) => lacks(part)) && !pnl.value) return <NothingHere />;
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

function NothingHere() {
  useEffect(() => {
    const timer = setInterval(askAnew, 60_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <h1>Overview</h1>
      <section class="card">
        <Empty title="This API has nothing to show here" retry={askAnew}>
          It answers, but knows neither a market's status nor symbols, signals, positions or a PnL under <code>/api</code>. The overview fills by itself once it does.
        </Empty>
      </section>
    </>
  );
}

const statusResource = () => ({ error: statusError.value, reload: () => void refreshStatus().finally(() => epoch.value++) });

function Figures() {
  const market = status.value;
  const profit = pnl.value;
  const history = useResource("pnl", async (abort) => (await api.pnlHistory("1m", 120, abort)).items.map((p) => p.realized + p.unrealized), 60_000);
  if (!market && !profit) {
    const { error, reload } = statusResource();
    if (error?.kind === "absent") return null;
    if (error) {
      return (
        <Card title="Market">
          <Failure error={error} retry={reload} />
        </Card>
      );
    }
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
  return (
    <div class="figures">
      {market?.status && <MarketFigure market={market} state={market.status} />}
      {profit && (
        <section class="card figure">
          <h2>PnL{market?.trading && (market.trading === "paper" ? " on paper" : `, trading ${market.trading}`)}</h2>
          <p class={`big ${direction(profit.total)}`} data-testid="pnl">
            <Living value={profit.total} text={format.money(profit.total)} />
          </p>
          <p class="note split">
            <span>{format.money(profit.realized)} realized</span>
            <span class="dot"> · </span>
            <span>{format.money(profit.unrealized)} open</span>
          </p>
          {(history.data?.length ?? 0) > 4 && <Spark values={[...history.data!, profit.total]} label="Total PnL over the last two hours" />}
        </section>
      )}
      {market?.active_signals != null && (
        <section class="card figure">
          <h2>Active signals</h2>
          <p class="big">{format.count(market.active_signals)}</p>
          <p class="note">
            <a href="/signals">See all signals</a>
          </p>
        </section>
      )}
      {market && market.signal_accuracy !== undefined && (
        <section class="card figure">
          <h2>Signal accuracy</h2>
          <p class="big">{market.signal_accuracy === null ? "–" : format.share(market.signal_accuracy)}</p>
          <p class="note">{market.signal_accuracy === null ? "No signal has been scored yet" : "of all scored signals were right"}</p>
        </section>
      )}
    </div>
  );
}

function MarketFigure({ market, state }: { market: MarketStatus; state: string }) {
  const stopped = state === "stale";
  const { advancers, decliners } = market;
  const breadth = advancers != null && decliners != null && { up: advancers, down: decliners, all: Math.max(1, advancers + decliners + (market.unchanged ?? 0)) };
  return (
    <section class="card figure">
      <h2>Market</h2>
      <p class={`big capital ${stopped ? "warn" : ""}`}>{state}</p>
      {breadth && (
        <svg class="breadth" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
          <rect class="up" width={(breadth.up / breadth.all) * 100} height="4" />
          <rect class="down" x={100 - (breadth.down / breadth.all) * 100} width={(breadth.down / breadth.all) * 100} height="4" />
        </svg>
      )}
      {stopped ? (
        <p class="note">No new prices{market.updated_at && <> since <Ago time={market.updated_at} /></>}</p>
      ) : (
        breadth && (
          <p class="note">
            <span class="up">{format.count(breadth.up)} up</span> · <span class="down">{format.count(breadth.down)} down</span>
            {market.symbols != null && <span class="roomy"> of {format.count(market.symbols)}</span>}
          </p>
        )
      )}
    </section>
  );
}

function Prices() {
  const watched = watchlist.value;
  const popular = useResource("popular", async (abort) => {
    const page = await api.symbols({ sort: "volume", limit: shownPrices }, abort);
    learn(page.items);
    return page.items;
  }, 15_000);
  const symbols = watched.length > 0 ? watched : popular.data?.map((q) => q.symbol);
  if (popular.absent && watched.length === 0) return null;
  const shows = {
    watch: !lacks("watchlist"),
    change: popular.data?.some((q) => q.change_pct != null),
    volume: popular.data?.some((q) => q.volume != null),
    past: !lacks("candles"),
  };
  return (
    <Card
      title={watched.length > 0 ? "Watchlist" : "Most traded"}
      aside={
        <a class="more" href="/symbols">
          All markets
        </a>
      }
    >
      {symbols === undefined && <Waiting of={popular} rows={shownPrices} />}
      {symbols?.length === 0 && <Empty title="No prices yet">The engine has not written its first prices. They appear here by themselves.</Empty>}
      {symbols && symbols.length > 0 && (
        <table>
          <thead>
            <tr>
              {shows.watch && (
                <th>
                  <span class="hidden">Watch</span>
                </th>
              )}
              <th>Symbol</th>
              <th class="number">Price</th>
              {shows.change && <th class="number">24 h</th>}
              {shows.past && <th class="roomy apart">Last hour</th>}
              {shows.volume && <th class="number roomy">Volume</th>}
            </tr>
          </thead>
          <tbody>
            {symbols.map((symbol, i) => (
              <PriceRow key={symbol} symbol={symbol} past={i < shownPrices} shows={shows} />
            ))}
          </tbody>
        </table>
      )}
      {shows.watch && watched.length === 0 && symbols && symbols.length > 0 && <p class="hint">Star a symbol to put it here instead.</p>}
    </Card>
  );
}

// A line costs a request, and the edge limits those: past asks for it, which a long
// watchlist does for its first rows only.
function PriceRow({ symbol, past, shows }: { symbol: string; past: boolean; shows: { watch?: boolean; change?: boolean; volume?: boolean; past?: boolean } }) {
  const history = useResource(`spark ${symbol} ${past}`, async (abort) => (past ? (await api.candles(symbol, "1m", 60, abort)).items.map((c) => c.close) : []), 300_000);
  const current = quote(symbol).value;
  const values = [...(history.data ?? []), ...(current ? [current.price] : [])];
  return (
    <tr>
      {shows.watch && (
        <td class="tight">
          <Star symbol={symbol} />
        </td>
      )}
      <td>
        <SymbolLink symbol={symbol} />
      </td>
      <td class="number">
        <Price symbol={symbol} />
      </td>
      {shows.change && (
        <td class="number">
          <LiveChange symbol={symbol} />
        </td>
      )}
      {shows.past && (
        <td class="roomy apart">
          <Spark values={values} label={`${symbol} over the last hour`} />
        </td>
      )}
      {shows.volume && <td class="number roomy muted">{current?.volume != null ? format.compact(current.volume) : "–"}</td>}
    </tr>
  );
}

function ActiveSignals() {
  const active = useResource("active", (abort) => api.signals("active", { limit: shownSignals }, abort), 10_000);
  const { data } = active;
  const items = [...freshSignals.value.filter((s) => s.status === "active" && !data?.items.some((d) => d.id === s.id)), ...(data?.items ?? [])].slice(0, shownSignals);
  if (active.absent) return null;
  return (
    <Card
      title="Active signals"
      aside={
        <a class="more" href="/signals">
          All signals
        </a>
      }
    >
      {!data && <Waiting of={active} rows={shownSignals} />}
      {data && items.length === 0 && <Empty title="No active signal">New ones appear here as soon as the engine finds them.</Empty>}
      {data && items.length > 0 && (
        <ul class="rows">
          {items.map((s) => (
            <li class="row" key={s.id}>
              <Side type={s.signal_type} />
              <span class="stack">
                <SymbolLink symbol={s.symbol} />
                <span class="muted small">
                  {s.indicator && `${format.label(s.indicator)} · `}
                  <Ago time={s.ts} />
                </span>
              </span>
              {s.confidence != null && <Confidence value={s.confidence} />}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Movers({ title, of }: { title: string; of: (market: MarketStatus) => Quote[] | null | undefined }) {
  const market = status.value;
  const items = market && of(market)?.slice(0, 5);
  // An API without a status, or with one that knows no movers, has none.
  if (statusError.value?.kind === "absent" || (market && !items)) return null;
  return (
    <Card title={title}>
      {!items && <Waiting of={statusResource()} rows={5} />}
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
  // The stream tells them; without one they are asked for.
  const load = async (abort: AbortSignal) => (positions.value = (await api.positions(abort)).items);
  const listed = useResource("positions", load, connection.value === "live" ? undefined : 15_000);
  const all = positions.value;
  const items = all?.slice(0, 5);
  if (listed.absent && !positions.value) return null;
  return (
    <Card title="Open positions" aside={all && all.length > 5 && <span class="muted small">the largest of {format.count(all.length)}</span>}>
      {!items && <Waiting of={listed} rows={5} />}
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
