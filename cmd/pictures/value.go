package main

import (
	"math"
	"strconv"
	"strings"
)

// scale is what a unit's prefixes stand for.
type scale struct {
	factor float64
	name   string
}

var (
	decimal = []scale{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}}
	binary  = []scale{{1 << 40, "Ti"}, {1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}, {1, ""}}
	seconds = []scale{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}}
	// rates are Grafana's names of things per second.
	rates = map[string]string{"reqps": "req/s", "ops": "ops/s", "cps": "/s", "wps": "writes/s", "eps": "events/s"}
)

// format writes a value in Grafana's unit as people read it. A unit that is not known stands
// behind the number.
func format(v float64, unit string) string {
	switch unit {
	case "percentunit":
		return number(v*100) + " %"
	case "s":
		return prefixed(v, seconds, " ", "")
	case "bytes":
		return prefixed(v, binary, " ", "B")
	case "short", "":
		return prefixed(v, decimal, " ", "")
	}
	if name, ok := rates[unit]; ok {
		return prefixed(v, decimal, " ", name)
	}
	return number(v) + " " + unit
}

// prefixed divides by the largest factor that leaves at least 1.
func prefixed(v float64, scales []scale, space, unit string) string {
	chosen := scale{1, ""}
	for _, s := range scales {
		if s.factor == 1 {
			chosen = s // of nothing, too
		}
	}
	for _, s := range scales {
		// What is rounded to 1000 would be read as the next one's.
		if math.Abs(v)*1.0005 >= s.factor {
			chosen = s
			break
		}
	}
	if v != 0 && math.Abs(v) < scales[len(scales)-1].factor {
		chosen = scales[len(scales)-1]
	}
	return strings.TrimSpace(number(v/chosen.factor) + space + chosen.name + unit)
}

// number has three digits that count, and no zeros at its end.
func number(v float64) string {
	a := math.Abs(v)
	decimals := 0
	switch {
	case a == 0:
	case a < 0.01:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case a < 1:
		decimals = 3
	case a < 10:
		decimals = 2
	case a < 100:
		decimals = 1
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// ticks are round values between 0 and the top of an axis or below, five at most; bytes
// are round in powers of two.
func ticks(low, high float64, unit string) []float64 {
	if high <= low {
		return []float64{low}
	}
	steps, base := []float64{1, 2, 2.5, 5, 10}, 10.0
	if unit == "bytes" {
		steps, base = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}, 1024
	}
	rough := (high - low) / 4
	magnitude := math.Pow(base, math.Floor(math.Log(rough)/math.Log(base)))
	step := magnitude * steps[len(steps)-1]
	for _, s := range steps {
		if s*magnitude >= rough*(1-1e-9) {
			step = s * magnitude
			break
		}
	}
	var all []float64
	for n := math.Ceil(low/step - 1e-9); n*step <= high*(1+1e-9); n++ {
		all = append(all, n*step+0) // no -0
	}
	return all
}
