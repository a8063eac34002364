// The candle chart, drawn by Lightweight Charts.
import {
  CandlestickSeries,
  createChart,
  createSeriesMarkers,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Candle, Quote, Signal } from "./api";
import { price, priceDigits } from "./format";

interface Colors {
  up: string;
  down: string;
  text: string;
  line: string;
  cross: string;
  volumeUp: string;
  volumeDown: string;
}

const seconds = (time: string): UTCTimestamp => Math.floor(Date.parse(time) / 1000) as UTCTimestamp;

export class CandleChart {
  private readonly chart: IChartApi;
  private readonly bars: ISeriesApi<"Candlestick">;
  private readonly volumes: ISeriesApi<"Histogram">;
  private readonly markers: ISeriesMarkersPluginApi<Time>;
  private candles: Candle[] = [];
  private signals: Signal[] = [];
  private interval = 60;
  private colors: Colors;

  constructor(element: HTMLElement, onHover: (candle: Candle | undefined) => void) {
    this.colors = readColors();
    this.chart = createChart(element, {
      autoSize: true,
      layout: {
        background: { color: "transparent" },
        fontFamily: getComputedStyle(element).fontFamily,
        // The library's logo brings a style element, which the page's content
        // security policy forbids; the page's footer carries the attribution.
        attributionLogo: false,
      },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.24 } },
      timeScale: { borderVisible: false, timeVisible: true, rightOffset: 4 },
      // A finger that moves down the page scrolls the page, not the chart.
      handleScroll: { vertTouchDrag: false },
    });
    this.bars = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.markers = createSeriesMarkers(this.bars);
    this.chart.subscribeCrosshairMove(({ time }) => onHover(time === undefined ? undefined : this.candles.find((c) => seconds(c.ts) === time)));
    this.recolor();
  }

  /** Shows candles, oldest first, each of them interval seconds long. */
  show(candles: Candle[], interval: number): void {
    const first = this.candles.length === 0;
    this.candles = [...candles];
    this.interval = interval;
    const digits = priceDigits(candles.at(-1)!.close);
    this.bars.applyOptions({ priceFormat: { type: "custom", formatter: price, minMove: 10 ** -digits } });
    this.draw();
    if (first) {
      const fit = Math.max(30, Math.min(110, this.chart.chartElement().clientWidth / 11));
      this.chart.timeScale().setVisibleLogicalRange({ from: candles.length - fit, to: candles.length + 3 });
    }
  }

  /** Moves the last candle to a new price, or begins the next one, and returns it. */
  tick(quote: Quote): Candle | undefined {
    if (!quote.ts) return this.candles.at(-1);
    const start = Math.floor(Date.parse(quote.ts) / 1000 / this.interval) * this.interval;
    const last = this.candles.at(-1);
    if (!last || start < seconds(last.ts)) return last;
    let candle: Candle;
    if (start === seconds(last.ts)) {
      candle = { ...last, close: quote.price, high: Math.max(last.high, quote.price), low: Math.min(last.low, quote.price) };
      this.candles[this.candles.length - 1] = candle;
    } else {
      candle = { ts: new Date(start * 1000).toISOString(), open: last.close, high: quote.price, low: quote.price, close: quote.price, volume: 0 };
      this.candles.push(candle);
    }
    this.bars.update({ ...candle, time: seconds(candle.ts) });
    this.volumes.update(this.volume(candle));
    return candle;
  }

  /** Marks where signals were given. */
  mark(signals: Signal[]): void {
    this.signals = signals;
    const from = this.candles.length > 0 ? seconds(this.candles[0]!.ts) : Infinity;
    this.markers.setMarkers(
      signals
        .filter((s) => seconds(s.ts) >= from)
        .map((s): SeriesMarker<Time> => {
          const buy = s.signal_type === "buy";
          return {
            time: (Math.floor(seconds(s.ts) / this.interval) * this.interval) as UTCTimestamp,
            position: buy ? "belowBar" : "aboveBar",
            shape: buy ? "arrowUp" : "arrowDown",
            color: buy ? this.colors.up : this.colors.down,
          };
        })
        .sort((a, b) => Number(a.time) - Number(b.time)),
    );
  }

  /** Takes the colours from the style sheet again, after the theme changed. */
  recolor(): void {
    const c = (this.colors = readColors());
    this.chart.applyOptions({
      layout: { textColor: c.text },
      grid: { vertLines: { color: c.line }, horzLines: { color: c.line } },
      crosshair: { vertLine: { color: c.cross, labelBackgroundColor: c.cross }, horzLine: { color: c.cross, labelBackgroundColor: c.cross } },
    });
    this.bars.applyOptions({ upColor: c.up, downColor: c.down, wickUpColor: c.up, wickDownColor: c.down });
    this.draw();
    this.mark(this.signals);
  }

  remove(): void {
    this.chart.remove();
  }

  private draw(): void {
    this.bars.setData(this.candles.map((c) => ({ time: seconds(c.ts), open: c.open, high: c.high, low: c.low, close: c.close })));
    this.volumes.setData(this.candles.map((c) => this.volume(c)));
  }

  private volume(c: Candle) {
    return { time: seconds(c.ts), value: c.volume ?? 0, color: c.close >= c.open ? this.colors.volumeUp : this.colors.volumeDown };
  }
}

function readColors(): Colors {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    up: read("--up"),
    down: read("--down"),
    text: read("--muted"),
    line: read("--line"),
    cross: read("--cross"),
    volumeUp: read("--flash-up"),
    volumeDown: read("--flash-down"),
  };
}
