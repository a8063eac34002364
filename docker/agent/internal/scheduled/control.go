package scheduled

import (
	"fmt"
	"strconv"
	"strings"
)

// Control is what tells the files of two databases apart that are copies of each other.
type Control struct {
	// System identifies the database, Timeline which of its histories it is on.
	System   string
	Timeline uint32
}

// ParseControl reads what pg_controldata prints of a folder.
func ParseControl(printed string) (c Control, err error) {
	fields := map[string]string{}
	for line := range strings.Lines(printed) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	c.System = fields["Database system identifier"]
	timeline, err := strconv.ParseUint(fields["Latest checkpoint's TimeLineID"], 10, 32)
	if c.System == "" || err != nil {
		return Control{}, fmt.Errorf("pg_controldata says %.200q: no database", printed)
	}
	c.Timeline = uint32(timeline)
	return c, nil
}

// Same returns the timeline as it is in the names of the log's segments, or an error where
// the server is on other files than those.
func (c Control) Same(server Control) (string, error) {
	if c != server {
		return "", fmt.Errorf("the server is database %s on timeline %d, and the files here are %s on %d: they belong to another volume", server.System, server.Timeline, c.System, c.Timeline)
	}
	return fmt.Sprintf("%08X", c.Timeline), nil
}
