package steps

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// fake is a step that notes what it is asked.
type fake struct {
	name string
	err  error
	log  *[]string
}

func (f fake) Do(context.Context, *Bringup) error {
	*f.log = append(*f.log, "do "+f.name)
	return f.err
}

func (f fake) Undo(*Bringup, []topology.Host) error {
	*f.log = append(*f.log, "undo "+f.name)
	return f.err
}

func (f fake) Traces(*Bringup, []topology.Host) []string { return []string{f.name} }

func TestStepsAreUndoneBackwards(t *testing.T) {
	var log []string
	broken := errors.New("broken")
	all := []Step{fake{"a", nil, &log}, fake{"b", broken, &log}, fake{"c", nil, &log}}
	if err := Do(t.Context(), &Bringup{}, all); !errors.Is(err, broken) {
		t.Errorf("do: %v", err)
	}
	if err := Undo(&Bringup{}, all, nil); !errors.Is(err, broken) {
		t.Errorf("undo: %v", err)
	}
	if want := []string{"do a", "do b", "undo c", "undo b", "undo a"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
	if got := Traces(&Bringup{}, all, nil); !slices.Equal(got, []string{"c", "b", "a"}) {
		t.Errorf("traces %v", got)
	}
}
