package room

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLinksThatMakeNoSense(t *testing.T) {
	of := func(name string) End { return Of(Identity{Name: name}) }
	world, ports := Outside(Anywhere), []int{443}
	for what, l := range map[string]Link{
		"no such zone":              {From: of("shop"), To: world, Ports: ports, Zone: "cellar"},
		"to itself":                 {From: of("shop"), To: of("shop"), Ports: ports, Zone: Data},
		"past the stack":            {From: world, To: world, Ports: ports, Zone: Entry},
		"stores have no way in":     {From: world, To: of("ledger"), Ports: ports, Zone: Data},
		"nor out":                   {From: of("ledger"), To: world, Ports: ports, Zone: Data},
		"inside by the way out":     {From: of("shop"), To: of("ledger"), Ports: ports, Zone: Exit},
		"no port":                   {From: of("shop"), To: of("ledger"), Zone: Data},
		"an end that is nothing":    {From: End{}, To: of("ledger"), Ports: ports, Zone: Data},
		"an end that is two things": {From: End{Workload: &Identity{Name: "a"}, Network: &Anywhere}, To: of("ledger"), Ports: ports, Zone: Data},
	} {
		assert.Error(t, l.Validate(), what)
	}
	for _, l := range []Link{
		{From: world, To: of("door"), Ports: ports, Zone: Entry},
		{From: of("shop"), To: world, Ports: ports, Zone: Exit},
		{From: of("shop"), To: of("ledger"), Ports: ports, Zone: Data},
	} {
		assert.NoError(t, l.Validate(), "%+v", l)
	}
}
