package rule

// MinimumRate in requests per second: below it one unlucky request is a large share, and
// no ratio means anything. 0.05/s are 180 requests an hour.
const MinimumRate = "0.05"

// Burn is one alerting condition: the budget burns at least Rate times as fast as
// it may, over a long window (so it matters) and over a short one (so it still
// happens). Rates and windows for a 30-day budget are those that the Google SRE
// Workbook recommends (chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"); the one
// for a day is the Prometheus community's addition between its second and third.
type Burn struct {
	// Rate is how many times as fast as it may the budget burns; 1 uses it up in 30 days.
	Rate float64
	// Long and Short are the windows, Prometheus durations, e.g. "1h".
	Long, Short string
	// Severity of the alert at this rate.
	Severity Severity
	// Wait is for how long both have to be true before it fires, a Prometheus duration.
	Wait string
	// Exhausted says when the budget of 30 days is used up at this rate.
	Exhausted string
}

// Burns are the conditions, the fastest first.
var Burns = []Burn{
	{14.4, "1h", "5m", Critical, "2m", "two days"},
	{6, "6h", "30m", Critical, "15m", "five days"},
	{3, "1d", "2h", Warning, "1h", "ten days"},
	{1, "3d", "6h", Warning, "3h", "thirty days"},
}

// The windows of recordings are the windows of the burns; those of a day and longer are
// computed less often, since they change slowly and read much.
var (
	FastWindows = []string{"5m", "30m", "1h", "2h", "6h"}
	SlowWindows = []string{"1d", "3d"}
)

// SlowInterval is how often those of SlowWindows are computed.
const SlowInterval = "2m"
