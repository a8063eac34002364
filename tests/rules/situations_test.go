package rules_test

import (
	"fmt"
	"maps"
	"math"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// situation is what Prometheus has scraped, one value a minute, and what fires then.
type situation struct {
	name string
	// start of the clock in Unix seconds.
	start int64
	// series in promtool's notation: "1x5" is 1 six times, "0+60x5" grows by 60.
	series map[string]string
	// at is the time since the start.
	at string
	// quietUntil is the last time at which nothing fires yet, a minute before the alert does; "" where
	// another situation tells.
	quietUntil string
	// fires is empty where the alert stays quiet.
	fires []firing
}

type firing struct {
	severity             rule.Severity
	labels               map[string]string
	summary, description string
}

// traffic is four hours of 600 requests a minute, of which so many fail and so
// many take longer than the objective allows.
func traffic(failed, slow float64) map[string]string { return calls(600, failed, slow, 250, 0) }

// calls are so many requests a minute, and none at all in so many minutes then.
func calls(perMinute, failed, slow float64, minutes, then int) map[string]string {
	grows := func(by float64) string { return growing(by, minutes, then) }
	return map[string]string{
		`http_requests_total{job="backend",pod="a",status="200"}`:              grows(perMinute - failed),
		`http_requests_total{job="backend",pod="a",status="503"}`:              grows(failed),
		`http_request_duration_seconds_count{job="backend",pod="a"}`:           grows(perMinute),
		`http_request_duration_seconds_bucket{job="backend",le="0.2",pod="a"}`: grows(perMinute - slow),
	}
}

// belowBurning are situations just below the rates of an error or a latency budget's four pairs of
// windows, and just too few requests for each. What a longer window has seen by then is not enough
// for it. A share is that of the requests that are bad.
func belowBurning(of func(perMinute, bad float64, minutes, then int) map[string]string, below, above [4]float64) []situation {
	var all []situation
	for i, window := range []struct {
		name string
		// at is when what lasts has lasted for long enough; few are so many requests in each of the
		// first two minutes that the window has just too few of them, fewAt the same for those.
		at, fewAt int
		few       float64
	}{{"an hour", 10, 4, 88}, {"six hours", 40, 20, 529}, {"a day", 120, 70, 2117}, {"three days", 240, 190, 6350}} {
		all = append(all,
			situation{name: fmt.Sprintf("%g for %s", below[i], window.name), at: fmt.Sprintf("%dm", window.at), series: of(600, 600*below[i], window.at, 0)},
			situation{name: "too few for " + window.name, at: fmt.Sprintf("%dm", window.fewAt), series: of(window.few, math.Round(window.few*above[i]), 2, window.fewAt)})
	}
	return all
}

// Shares just below what burns the budget, and ones that would for a window, and for no shorter one.
var (
	belowErrors, aboveErrors = [4]float64{0.14, 0.058, 0.029, 0.0095}, [4]float64{0.2, 0.1, 0.04, 0.02}
	belowSlow, aboveSlow     = [4]float64{0.7, 0.29, 0.145, 0.0475}, [4]float64{0.8, 0.5, 0.2, 0.1}
)

// growing is a counter that grows for some minutes and then stays as it is.
func growing(by float64, minutes, then int) string {
	values := fmt.Sprintf("0+%gx%d", by, minutes)
	if then > 0 {
		values += fmt.Sprintf(" %gx%d", by*float64(minutes), then-1)
	}
	return values
}

// with adds series to others.
func with(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

const (
	failsTooMuch       = "The API fails too many requests"
	answersSlowly      = "The API answers too slowly"
	latencyUnknown     = "The API's latency objective cannot be measured"
	latencyUnknownText = "Requests are answered whose time no bucket of the histogram http_request_duration_seconds from 0.2 s to below 0.6 s tells. " +
		"APILatencyBudgetBurn is blind for them."
	someoneElses      = `up{job="someone-else",instance="x:1"}`
	kubeLabels        = `job="monitoring-kube-state-metrics",instance="kube-state-metrics",namespace="n"`
	claimSize         = `kube_persistentvolumeclaim_resource_requests_storage_bytes{` + kubeLabels + `,persistentvolumeclaim="%s"}`
	replicasText      = " replicas are missing for 15 minutes: pods cannot start, cannot be scheduled, or are not ready."
	expiringText      = "The certificate that the edge serves expires in %s. After that browsers refuse every page."
	expiringSoon      = "The edge's certificate expires soon"
	crashText         = " ends soon after every start. Kubernetes waits longer each time before it tries again."
	crashSummary      = "A container crashes again and again"
	databaseText      = "No exporter beside a server can log in to one that takes writes, or none answers itself. The API answers 503 to what is not cached."
	databaseIsDown    = "The database does not answer"
	cacheText         = "The exporter beside the cache cannot log in, or does not answer itself. Every read goes to the database: expect slow answers."
	cacheIsDown       = "The cache does not answer"
	cacheWrites       = "The cache cannot write to its volume"
	engineAbsent      = "No trading engine works"
	engineAbsentText  = "No pod of backend-engine answers, or none is the one that works: no market data, no signals, and open positions are watched by nobody."
	engineDoubled     = "More than one trading engine works"
	engineDoubledText = "2 pods of backend-engine work at the same time. Each of them trades on its own: positions may be opened twice."
	cacheWriteText    = "The last write or rewrite of the append-only file, or the last snapshot, failed. A restart would lose what came since."
)

// state completes the labels that series of kube-state-metrics carry.
func state(labels map[string]string) map[string]string {
	l := map[string]string{"job": "monitoring-kube-state-metrics", "instance": "kube-state-metrics", "namespace": "n"}
	maps.Copy(l, labels)
	return l
}

func kube(metric, labels string) string {
	return metric + "{" + kubeLabels + "," + labels + "}"
}

// burning is what fires at a burn rate.
func burning(severity rule.Severity, window, summary, description string) []firing {
	return []firing{{severity, map[string]string{"window": window}, summary, description}}
}

func errorText(share, window, exhausted string) string {
	return share + " of the API's requests failed with 5xx over " + window +
		", and it goes on. At this rate the error budget of 30 days (1 % of the requests) is used up within " + exhausted + "."
}

func slowText(share, window, exhausted string) string {
	return share + " of the API's requests took longer than 0.2 s (the nearest bucket at or above it) over " + window +
		", and it goes on. At this rate the latency budget of 30 days (5 % of the requests) is used up within " + exhausted + "."
}

// situations of each alert.
var situations = func() map[string][]situation {
	all := map[string][]situation{}
	for _, room := range []map[string][]situation{
		backendSituations, tradingSituations, databaseSituations, backupSituations, cacheSituations, edgeSituations, workloadsSituations, monitoringSituations, telemetrySituations, storesSituations,
	} {
		maps.Copy(all, room)
	}
	return all
}()
