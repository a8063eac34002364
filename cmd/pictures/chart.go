package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A point is a value at a time.
type point struct {
	at    float64 // seconds since 1970
	value float64
}

// A series is one line of a panel.
type series struct {
	name   string
	labels map[string]string
	points []point
}

// A span is the time that pictures show.
type span struct {
	from, to time.Time
	step     time.Duration
}

func (s span) start() float64 { return float64(s.from.Unix()) }
func (s span) end() float64   { return float64(s.to.Unix()) }

// A box is where something is drawn, in pixels.
type box struct{ x, y, w, h float64 }

// An axis leads from values to a box: of values from low to high, and of the span's times.
type axis struct {
	box
	span
	low, high float64
}

func (a axis) px(at float64) float64 { return a.x + (at-a.start())/(a.end()-a.start())*a.w }
func (a axis) py(v float64) float64  { return a.y + a.h - (v-a.low)/(a.high-a.low)*a.h }

// fit makes the axis for series: from 0 on, where there is nothing below it, to the next
// round value, or to that which the panel says.
func fit(b box, s span, all []series, f field) axis {
	a := axis{box: b, span: s}
	for _, one := range all {
		for _, p := range one.points {
			a.low, a.high = min(a.low, p.value), max(a.high, p.value)
		}
	}
	for _, l := range f.limits() {
		if l <= a.high*4 { // one far above would flatten the lines
			a.high = max(a.high, l*1.05)
		}
	}
	if f.Max != nil {
		a.high = max(a.high, *f.Max)
	}
	if a.high == a.low {
		a.high = a.low + 1
	}
	if round := ticks(a.low, a.high, f.Unit); len(round) > 1 && f.Max == nil {
		step := round[1] - round[0]
		a.high = math.Ceil(a.high/step-1e-9) * step
		a.low = math.Floor(a.low/step+1e-9) * step
	}
	return a
}

// path is the line of a series, without the points that change nothing about it. Where
// there is no value for longer than a step and a half, there is no line.
func (a axis) path(points []point) string {
	var b strings.Builder
	for len(points) > 0 {
		n := 1
		for n < len(points) && points[n].at-points[n-1].at <= a.step.Seconds()*1.5 {
			n++
		}
		var run [][2]float64
		for _, p := range points[:n] {
			run = append(run, [2]float64{a.px(p.at), a.py(p.value)})
		}
		if n == 1 { // a dot
			run = append(run, [2]float64{run[0][0] + 1, run[0][1]})
		}
		write(&b, simplified(run, 0.4))
		points = points[n:]
	}
	return b.String()
}

// bars are the values of a series as upright strokes.
func (a axis) bars(points []point) string {
	var b strings.Builder
	for _, p := range points {
		if p.value != 0 {
			fmt.Fprintf(&b, "M%s %sV%s", short(a.px(p.at)), short(a.py(0)), short(a.py(p.value)))
		}
	}
	return b.String()
}

// write writes a line in steps from point to point, which are shorter than places.
func write(b *strings.Builder, line [][2]float64) {
	var at [2]float64
	for n, p := range line {
		// What was rounded is not lost: the next step starts from where this one led.
		dx, dy := tenth(p[0]-at[0]), tenth(p[1]-at[1])
		command := "l"
		if n == 0 {
			command = "M"
		}
		switch {
		case n > 0 && dy == 0:
			fmt.Fprintf(b, "h%s", short(dx))
		case n > 0 && dx == 0:
			fmt.Fprintf(b, "v%s", short(dy))
		default:
			fmt.Fprintf(b, "%s%s %s", command, short(dx), short(dy))
		}
		at[0], at[1] = at[0]+dx, at[1]+dy
	}
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// short is a number of pixels, to a tenth.
func short(v float64) string {
	if v = tenth(v); v == 0 {
		return "0"
	}
	s := fmt.Sprintf("%g", v)
	if whole, rest, ok := strings.Cut(s, "."); ok && (whole == "0" || whole == "-0") {
		return strings.TrimSuffix(whole, "0") + "." + rest
	}
	return s
}

// simplified leaves out the points that are nearer than the tolerance to the line without
// them (Douglas and Peucker).
func simplified(line [][2]float64, tolerance float64) [][2]float64 {
	if len(line) < 3 {
		return line
	}
	first, last := line[0], line[len(line)-1]
	farthest, distance := 0, 0.0
	length := math.Hypot(last[0]-first[0], last[1]-first[1])
	for n := 1; n < len(line)-1; n++ {
		p := line[n]
		d := math.Abs((last[0]-first[0])*(first[1]-p[1])-(first[0]-p[0])*(last[1]-first[1])) / max(length, 1e-9)
		if d > distance {
			farthest, distance = n, d
		}
	}
	if distance <= tolerance {
		return [][2]float64{first, last}
	}
	before := simplified(line[:farthest+1], tolerance)
	return append(before[:len(before)-1:len(before)-1], simplified(line[farthest:], tolerance)...)
}
