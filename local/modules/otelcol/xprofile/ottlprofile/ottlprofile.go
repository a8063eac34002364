// Package ottlprofile stands for upstream's, whose module cannot be had everywhere: what
// decides which traces are kept imports it, and asks for profiles nowhere. Conditions on
// profiles are refused.
package ottlprofile

import (
	"errors"

	"go.opentelemetry.io/collector/component"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
)

// ContextName is what conditions call a profile.
const ContextName = "profile"

// TransformContext is a profile.
type TransformContext struct{}

// NewParser refuses.
func NewParser(map[string]ottl.Factory[*TransformContext], component.TelemetrySettings, ...ottl.Option[*TransformContext]) (ottl.Parser[*TransformContext], error) {
	return ottl.Parser[*TransformContext]{}, errors.New("this build knows no conditions on profiles")
}

// EnablePathContextNames does nothing.
func EnablePathContextNames() ottl.Option[*TransformContext] {
	return func(*ottl.Parser[*TransformContext]) {}
}

// ConditionSequenceOption is an option of NewConditionSequence.
type ConditionSequenceOption func(*ottl.ConditionSequence[*TransformContext])

// WithConditionSequenceErrorMode does nothing.
func WithConditionSequenceErrorMode(ottl.ErrorMode) ConditionSequenceOption {
	return func(*ottl.ConditionSequence[*TransformContext]) {}
}

// NewConditionSequence is never reached: there is no parser.
func NewConditionSequence([]*ottl.Condition[*TransformContext], component.TelemetrySettings, ...ConditionSequenceOption) ottl.ConditionSequence[*TransformContext] {
	return ottl.ConditionSequence[*TransformContext]{}
}
