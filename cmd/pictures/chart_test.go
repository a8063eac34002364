package main

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestAnAxisHoldsItsValues, begins at nothing, and ends at a round value, or where the
// panel says.
func TestAnAxisHoldsItsValues(t *testing.T) {
	s, one := minutes(4), 1.0
	var limited field
	limited.Custom.ThresholdsStyle.Mode = "line"
	limited.Thresholds.Steps = append(limited.Thresholds.Steps, struct {
		Color string
		Value *float64
	}{"red", &one})
	for what, c := range map[string]struct {
		values    []float64
		f         field
		low, high float64
	}{
		"positive":             {[]float64{3, 7}, field{}, 0, 8},
		"negative, too":        {[]float64{-3, 7}, field{}, -5, 7.5},
		"nothing but zeros":    {[]float64{0, 0}, field{}, 0, 1},
		"a share":              {[]float64{0.3}, field{Max: &one}, 0, 1},
		"above its share":      {[]float64{1.3}, field{Max: &one}, 0, 1.3},
		"bytes":                {[]float64{3 << 20}, field{Unit: "bytes"}, 0, 3 << 20},
		"a limit in sight":     {[]float64{0.5}, limited, 0, 1.5},
		"a limit out of sight": {[]float64{0.1}, limited, 0, 0.1},
	} {
		a := fit(box{0, 0, 100, 50}, s, []series{values(s, "x", c.values...)}, c.f)
		if math.Abs(a.low-c.low) > 1e-9 || math.Abs(a.high-c.high) > 1e-9 {
			t.Errorf("%s: from %g to %g, want %g to %g", what, a.low, a.high, c.low, c.high)
		}
	}
}

// TestAPathIsShort and no less true: what lies on a line is left out, a gap is one, and
// what is left out nowhere moves the rest.
func TestAPathIsShort(t *testing.T) {
	s := minutes(10)
	a := axis{box{0, 0, 100, 100}, s, 0, 100}
	nan := math.NaN()
	for what, c := range map[string]struct {
		values []float64
		path   string
	}{
		"a constant":     {[]float64{50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50}, "M0 50h100"},
		"a slope":        {[]float64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, "M0 100l100 -100"},
		"a step":         {[]float64{0, 0, 0, 100, 100}, "M0 100h20l10 -100h10"},
		"a gap":          {[]float64{50, 50, nan, 50, 50}, "M0 50h10M30 50h10"},
		"a value alone":  {[]float64{nan, 50, nan}, "M10 50h1"},
		"hardly a slope": {[]float64{50, 50.2, 50.1, 50.3}, "M0 50l30 -.3"},
		"nothing":        {nil, ""},
	} {
		if got := a.path(values(s, "", c.values...).points); got != c.path {
			t.Errorf("%s: %s, want %s", what, got, c.path)
		}
	}
	if got := a.bars(values(s, "", 0, 50).points); got != "M10 100V50" {
		t.Errorf("bars: %s", got)
	}

	// Steps are rounded; where they lead is not worse for it.
	var wild []float64
	for n := range 200 {
		wild = append(wild, 50+33.3333*math.Sin(float64(n)*1.7))
	}
	long := span{s.from, s.from.Add(199 * s.step), s.step}
	path := axis{box{0, 0, 97, 61}, long, 0, 100}.path(values(long, "", wild...).points)
	x := 0.0
	for _, step := range regexp.MustCompile(`([Mlhv])(-?[.\d]+)`).FindAllStringSubmatch(path, -1) {
		if step[1] != "v" {
			dx, err := strconv.ParseFloat(step[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			x += dx
		}
	}
	if math.Abs(x-97) > 0.06 {
		t.Errorf("the path ends at %f, want 97", x)
	}
}

func TestNumbersOfPixels(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.04: "0", -0.04: "0", 0.5: ".5", -0.5: "-.5", 10.5: "10.5", 100: "100", -20.04: "-20"} {
		if got := short(v); got != want {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
}

func TestValuesInTheirUnits(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "short", "0"}, {3, "short", "3"}, {1234, "short", "1.23 k"}, {999.9, "short", "1 k"}, {2.5e6, "short", "2.5 M"}, {0.25, "short", "0.25"}, {-1500, "short", "-1.5 k"},
		{0, "s", "0 s"}, {0.0123, "s", "12.3 ms"}, {0.2, "s", "200 ms"}, {90, "s", "1.5 min"}, {172800, "s", "2 d"}, {2e-7, "s", "0.2 µs"},
		{0, "bytes", "0 B"}, {1536, "bytes", "1.5 KiB"}, {3 << 30, "bytes", "3 GiB"},
		{0.00456, "percentunit", "0.456 %"}, {1, "percentunit", "100 %"}, {0.00001, "percentunit", "0.001 %"},
		{12.34, "reqps", "12.3 req/s"}, {4200, "ops", "4.2 kops/s"}, {7, "furlong", "7 furlong"},
	} {
		if got := format(c.v, c.unit); got != c.want {
			t.Errorf("%g in %s is %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		unit      string
		want      []float64
	}{
		{0, 10, "", []float64{0, 2.5, 5, 7.5, 10}},
		{0, 1, "percentunit", []float64{0, 0.25, 0.5, 0.75, 1}},
		{-5, 7, "", []float64{-5, 0, 5}},
		{0, 3 << 20, "bytes", []float64{0, 1 << 20, 2 << 20, 3 << 20}},
		{4, 4, "", []float64{4}},
	} {
		if got := ticks(c.low, c.high, c.unit); !slices.Equal(got, c.want) {
			t.Errorf("%g to %g: %v, want %v", c.low, c.high, got, c.want)
		}
	}
}
