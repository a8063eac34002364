package stacks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// owner decides what a stack may take for its own on a cluster.
type owner struct {
	// stack is organization/project/name.
	stack     string
	namespace string
	// deployed says that an update of the stack has ended there before.
	deployed bool
	// takeOver are the objects that the user gave to the stack, as Kind/name.
	takeOver []string
	cluster  *live.Cluster
}

// refuse is why an object that the state does not know may not be created: somebody else
// has one of that name. Server-side apply would take it over without a word, and a destroy
// delete it.
func (o *owner) refuse(ctx context.Context, kind, name string) error {
	if slices.Contains(o.takeOver, kind+"/"+name) {
		return nil
	}
	found, err := o.cluster.Get(ctx, kind, o.namespace, name)
	if err != nil {
		return fmt.Errorf("%s %s: is it there already? %w", kind, name, err)
	}
	if found == nil {
		return nil
	}
	if kind == "Namespace" {
		return o.refuseNamespace(ctx, name, found)
	}
	// A replacement is created, too: what the stack has made itself carries its labels.
	ours := found.Labels["app.kubernetes.io/managed-by"] == "pulumi" && found.Labels["app.kubernetes.io/part-of"] == "alphapulse"
	if ours && o.deployed {
		return nil
	}
	// An update that was killed leaves objects that its state does not know.
	if ours {
		if mine, err := o.owns(ctx); err != nil || mine {
			return err
		}
	}
	return fmt.Errorf("%s %s exists in namespace %s and is not of this stack: "+
		"give it another name, use another namespace, or hand it over on purpose with `pulumi config set --path 'takeOver[0]' %s/%s`",
		kind, name, o.namespace, kind, name)
}

// owns tells whether the stack has made the namespace.
func (o *owner) owns(ctx context.Context) (bool, error) {
	n, err := o.cluster.Get(ctx, "Namespace", o.namespace, o.namespace)
	if err != nil {
		return false, fmt.Errorf("namespace %s: whose is it? %w", o.namespace, err)
	}
	return n != nil && n.Annotations[platform.OwnerAnnotation] == o.stack, nil
}

// refuseNamespace lets a stack come back to the namespace that its own destroy has left
// empty, and to no other.
func (o *owner) refuseNamespace(ctx context.Context, name string, found *live.Object) error {
	held, err := o.cluster.Holds(ctx, name)
	if err != nil {
		return fmt.Errorf("namespace %s: what does it hold? %w", name, err)
	}
	left := found.Annotations[platform.OwnerAnnotation] == o.stack
	if left && len(held) == 0 {
		return nil
	}
	what := "it is empty"
	if len(held) > 0 {
		what = "it holds " + strings.Join(held, ", ")
	}
	return fmt.Errorf("namespace %s exists and is not of this stack (%s): choose another by `pulumi config set namespace NAME`, "+
		"deploy into it without owning it by `pulumi config set createNamespace false`, "+
		"or hand it over on purpose with `pulumi config set --path 'takeOver[0]' Namespace/%s`", name, what, name)
}

// watch asks before each object of the cluster is created, and before members change, in a
// preview, too, so that a refusal comes before anything is changed. It is one
// transformation: each is given a resource's own options, not those that the one before
// it has added, so that of two only the last would count.
func (o *owner) watch(ctx *pulumi.Context) error {
	mine, err := ctx.RegisterResourceHook("not-somebody-elses", func(args *pulumi.ResourceHookArgs) error {
		kind, name := objectOf(args.NewInputs)
		if name == "" {
			return nil // not known yet: its name follows from generated secrets, and nobody has one like it
		}
		return o.refuse(context.Background(), kind, name)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return err
	}
	members, err := membersChange(ctx)
	if err != nil {
		return err
	}
	return ctx.RegisterStackTransformation(func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		if !strings.HasPrefix(args.Type, "kubernetes:") {
			return nil
		}
		o.force(args.Type, args.Props)
		hooks := &pulumi.ResourceHookBinding{BeforeCreate: []*pulumi.ResourceHook{mine}}
		if strings.HasSuffix(args.Type, ":StatefulSet") {
			hooks.BeforeUpdate = []*pulumi.ResourceHook{members}
		}
		return &pulumi.ResourceTransformationResult{Props: args.Props, Opts: append(args.Opts, pulumi.ResourceHooks(hooks))}
	})
}

// force lets an object that was handed over become as the program has it: server-side
// apply would refuse the fields that somebody else has set otherwise.
func (o *owner) force(typ string, props pulumi.Input) {
	value := reflect.ValueOf(props)
	if value.Kind() != reflect.Pointer || value.IsNil() || value.Elem().Kind() != reflect.Struct {
		return
	}
	field := value.Elem().FieldByName("Metadata")
	if !field.IsValid() || field.IsZero() {
		return
	}
	meta, ok := field.Interface().(*metav1.ObjectMetaArgs)
	if !ok {
		return
	}
	name, ok := meta.Name.(pulumi.String)
	if !ok || !slices.Contains(o.takeOver, typ[strings.LastIndex(typ, ":")+1:]+"/"+string(name)) {
		return
	}
	annotations := maps.Clone(workload.Forced)
	if given, ok := meta.Annotations.(pulumi.StringMap); ok {
		maps.Copy(annotations, given)
	}
	meta.Annotations = annotations
}

// objectOf is the kind and the name of an object; "" for a name that is not known.
func objectOf(inputs resource.PropertyMap) (kind, name string) {
	if v := inputs["kind"]; v.IsString() {
		kind = v.StringValue()
	}
	meta := plain(inputs["metadata"])
	if kind == "" || !meta.IsObject() {
		return kind, ""
	}
	if n := meta.ObjectValue()["name"]; n.IsString() {
		name = n.StringValue()
	}
	return kind, name
}

// look asks the cluster what has to be known before anything is changed. A cluster that
// does not answer is reported, not refused: a preview needs none, and an update ends at
// its first object.
func (s *Stack) look(ctx *pulumi.Context, before Previous) error {
	if s.Target == room.DockerHost {
		return s.lookAtEngine(ctx, before)
	}
	s.Cluster.owner = strings.Join([]string{ctx.Organization(), ctx.Project(), ctx.Stack()}, "/")
	cluster, err := live.Connect(s.Cluster.Kubeconfig, s.Cluster.Context)
	if err == nil {
		err = s.identify(ctx.Context(), cluster, before)
	}
	if err == nil && s.Target == room.Addons {
		err = s.addonsElsewhere(ctx.Context(), cluster)
	}
	if err == nil && s.Target == room.Addons {
		err = s.logAgentElsewhere(ctx.Context(), cluster)
	}
	if err == nil && s.Target == room.Addons {
		err = s.kubeletMetricsElsewhere(ctx.Context(), cluster)
	}
	if err == nil {
		err = s.operatorServes(ctx.Context(), cluster)
	}
	if err == nil {
		err = s.kubeletsTell(ctx.Context(), cluster)
	}
	if err == nil {
		err = s.gatewayServes(ctx.Context(), cluster)
	}
	if err == nil {
		err = s.growth(ctx.Context(), cluster, before)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		return fmt.Errorf("the configuration of stack %s has 1 problem(s), nothing was changed:\n%w", s.Name, refused)
	}
	if err != nil {
		return ctx.Log.Warn(fmt.Sprintf("the cluster does not answer, so it was not checked that what the stack creates is not there already: %v", err), nil)
	}
	for _, warning := range []string{s.certificateMissing(ctx.Context(), cluster), s.gatewayMissing(ctx.Context(), cluster)} {
		if warning == "" {
			continue
		}
		if err := ctx.Log.Warn(warning, nil); err != nil {
			return err
		}
	}
	if s.Target == room.Addons {
		return nil
	}
	o := &owner{stack: s.Cluster.owner, namespace: s.Cluster.Namespace, deployed: before.Namespace != "", takeOver: s.Cluster.TakeOver, cluster: cluster}
	return o.watch(ctx)
}

// refusal is an error that ends the update.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

// identify remembers which cluster the stack is on, and refuses another one.
func (s *Stack) identify(ctx context.Context, cluster *live.Cluster, before Previous) error {
	uid, err := cluster.UID(ctx)
	if err != nil {
		return err
	}
	s.Cluster.uid = uid
	if before.Cluster != "" && uid != "" && before.Cluster != uid && s.Cluster.MoveTo != uid {
		return &refusal{fmt.Sprintf("kubeContext: it means another cluster (%s) than the one that has the stack's data (%s), "+
			"which would stay behind: set the context of that one, use another stack, or move on purpose with `pulumi config set clusterMoveTo %s`",
			uid, before.Cluster, uid)}
	}
	ports, err := cluster.APIServerPorts(ctx)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if port := strconv.Itoa(p); !slices.Contains(s.Cluster.APIServerPorts, port) {
			s.Cluster.APIServerPorts = append(s.Cluster.APIServerPorts, port)
		}
	}
	servers, err := cluster.NameServers(ctx)
	if err != nil {
		return err
	}
	for _, cidr := range servers {
		if !slices.Contains(s.Cluster.DNSCIDRs, cidr) {
			s.Cluster.DNSCIDRs = append(s.Cluster.DNSCIDRs, cidr)
		}
	}
	return nil
}
