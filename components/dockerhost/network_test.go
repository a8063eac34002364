package dockerhost

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestZonesFollowFromLinks(t *testing.T) {
	links := []Link{
		{"shop", "ledger", Data}, {World, "door", Entry}, {"door", "shop", Web}, {"shop", World, Exit}, {"other", "ledger", Data},
	}
	assert.Equal(t, map[string][]Zone{
		"door": {Entry, Web}, "shop": {Web, Data, Exit}, "ledger": {Data}, "other": {Data},
	}, Zones(links))
	assert.Equal(t, []Zone{Entry, Web, Data, Exit}, used(links), "a network that nobody needs is none")
}

func TestLinksThatMakeNoSense(t *testing.T) {
	for _, l := range []Link{
		{"shop", "ledger", "cellar"},
		{"shop", "shop", Data},
		{World, World, Entry},
		{World, "ledger", Data}, // the stores have no way in
		{"ledger", World, Data}, // nor out
		{"shop", "ledger", Exit},
	} {
		assert.Error(t, l.validate(), "%+v", l)
	}
	for _, l := range []Link{{World, "door", Entry}, {"shop", World, Exit}, {"shop", "ledger", Data}} {
		assert.NoError(t, l.validate(), "%+v", l)
	}
}
