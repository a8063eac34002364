package recorder

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// strict refuses what a run would show by chance only: a resource that depends on one of
// the program's components. The SDK takes those of the component's children that have told
// it of themselves by then, which is all of them on most days.
func strict(program pulumi.RunFunc) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		// Registrations of one program come one after the other.
		var loose error
		err := ctx.RegisterStackTransformation(func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
			options, err := pulumi.NewResourceOptions(args.Opts...)
			if err != nil {
				loose = err
				return nil
			}
			for _, on := range options.DependsOn {
				if _, custom := on.(pulumi.CustomResource); !custom && strings.HasPrefix(reflect.TypeOf(on).Elem().PkgPath(), "github.com/alphapulse/alphapulse-infra/") {
					loose = fmt.Errorf("%s %s depends on a component, %T: say which of its resources it waits for", args.Type, args.Name, on)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := program(ctx); err != nil {
			return err
		}
		return loose
	}
}
