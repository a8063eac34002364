package stacks

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// membersChange is asked before a StatefulSet is updated, in a preview, too: Kubernetes
// takes members away and starts those that stay anew at the same time, and the quorum
// may be among them.
func membersChange(ctx *pulumi.Context) (*pulumi.ResourceHook, error) {
	return ctx.RegisterResourceHook("members-one-change-at-a-time", func(args *pulumi.ResourceHookArgs) error {
		return oneChange(args.OldInputs, args.NewInputs)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
}

// oneChange refuses a StatefulSet whose number of pods and whose pods both change.
func oneChange(before, after resource.PropertyMap) error {
	was, is := plain(before["spec"]), plain(after["spec"])
	if !was.IsObject() || !is.IsObject() {
		return nil
	}
	field := func(spec resource.PropertyValue, key resource.PropertyKey) resource.PropertyValue {
		return plain(spec.ObjectValue()[key])
	}
	had, wants := field(was, "replicas"), field(is, "replicas")
	if !had.IsNumber() || !wants.IsNumber() || had.NumberValue() == wants.NumberValue() {
		return nil
	}
	if had.NumberValue() == 0 || wants.NumberValue() == 0 {
		return nil // none stays: a generation before a restore stops, or one comes back
	}
	if field(was, "template").DeepEquals(field(is, "template")) {
		return nil
	}
	_, name := objectOf(after)
	return fmt.Errorf("databaseInstances: from %.0f to %.0f while something else of the members of %s changes, too, and those that stay would start anew while others come or go: "+
		"set databaseInstances %.0f for this update, and %.0f for the next one", had.NumberValue(), wants.NumberValue(), name, had.NumberValue(), wants.NumberValue())
}

// plain is a value without the marks of secrets and of other resources' outputs.
func plain(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsSecret():
		return plain(v.SecretValue().Element)
	case v.IsOutput():
		if v.OutputValue().Known {
			return plain(v.OutputValue().Element)
		}
		return v
	case v.IsArray():
		all := make([]resource.PropertyValue, len(v.ArrayValue()))
		for i, e := range v.ArrayValue() {
			all[i] = plain(e)
		}
		return resource.NewProperty(all)
	case v.IsObject():
		all := resource.PropertyMap{}
		for k, e := range v.ObjectValue() {
			all[k] = plain(e)
		}
		return resource.NewProperty(all)
	}
	return v
}
