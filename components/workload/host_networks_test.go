package workload

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

func TestZonesFollowFromLinks(t *testing.T) {
	of := func(name string) room.End { return room.Of(room.Identity{Name: name}) }
	world := room.Outside(room.Anywhere)
	links := []room.Link{
		{From: of("shop"), To: of("ledger"), Zone: room.Data}, {From: world, To: of("door"), Zone: room.Entry},
		{From: of("door"), To: of("shop"), Zone: room.Web}, {From: of("shop"), To: world, Zone: room.Exit},
		{From: of("other"), To: of("ledger"), Zone: room.Data},
	}
	assert.Equal(t, map[string][]room.Zone{
		"door": {room.Entry, room.Web}, "shop": {room.Web, room.Data, room.Exit}, "ledger": {room.Data}, "other": {room.Data},
	}, zonesOf(links))
	assert.Equal(t, []room.Zone{room.Entry, room.Web, room.Data, room.Exit}, used(links), "a network that nobody needs is none")
}
