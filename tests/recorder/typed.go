package recorder

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// Object is a Kubernetes object of the recording, decoded into its API type.
type Object struct {
	runtime.Object
	Recorded Resource
}

// String names the object in messages.
func (o Object) String() string { return o.Recorded.Kind() + " " + o.Recorded.ObjectName() }

// Meta is the object's metadata.
func (o Object) Meta() metav1.Object { return o.Object.(metav1.Object) }

// decoder refuses unknown and repeated fields: a misspelled field is an error here,
// where the API server would drop it with a warning.
var decoder = serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()

// Objects decodes every Kubernetes object strictly.
func (r *Recording) Objects() ([]Object, error) {
	var objects []Object
	for _, x := range r.Resources {
		if !x.Kubernetes() {
			continue
		}
		raw, err := json.Marshal(Plain(x.Inputs))
		if err != nil {
			return nil, err
		}
		decoded, _, err := decoder.Decode(raw, nil, nil)
		if runtime.IsNotRegisteredError(err) { // of a controller's own API
			custom := &unstructured.Unstructured{}
			decoded, err = custom, custom.UnmarshalJSON(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", x.Kind(), x.Name, err)
		}
		objects = append(objects, Object{Object: decoded, Recorded: x})
	}
	return objects, nil
}

// Plain is a copy of the inputs with secrets as plain values.
func Plain(inputs resource.PropertyMap) map[string]any {
	return inputs.MapRepl(nil, func(v resource.PropertyValue) (any, bool) {
		if v.IsSecret() {
			return v.SecretValue().Element.MapRepl(nil, nil), true
		}
		return nil, false
	})
}

// Of picks the objects of one API type.
func Of[T runtime.Object](objects []Object) []T {
	var found []T
	for _, o := range objects {
		if t, ok := o.Object.(T); ok {
			found = append(found, t)
		}
	}
	return found
}

// Workload is anything with a pod template.
type Workload struct {
	Object   Object
	Name     string
	Selector *metav1.LabelSelector
	Template corev1.PodTemplateSpec
	// Replicas is nil where the object does not set it.
	Replicas *int32
	// Surge is how many pods more a rollout starts.
	Surge int
}

// Workloads lists every object with a pod template.
func Workloads(objects []Object) []Workload {
	var all []Workload
	for _, o := range objects {
		switch x := o.Object.(type) {
		case *appsv1.Deployment:
			w := Workload{Object: o, Name: x.Name, Selector: x.Spec.Selector, Template: x.Spec.Template, Replicas: x.Spec.Replicas}
			if ru := x.Spec.Strategy.RollingUpdate; ru != nil && ru.MaxSurge != nil {
				w.Surge = ru.MaxSurge.IntValue()
			} else if x.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
				w.Surge = 1 // Kubernetes' default of 25 %, rounded up
			}
			all = append(all, w)
		case *appsv1.StatefulSet:
			all = append(all, Workload{Object: o, Name: x.Name, Selector: x.Spec.Selector, Template: x.Spec.Template, Replicas: x.Spec.Replicas})
		case *batchv1.Job:
			all = append(all, Workload{Object: o, Name: x.Name, Selector: x.Spec.Selector, Template: x.Spec.Template})
		case *batchv1.CronJob:
			all = append(all, Workload{Object: o, Name: x.Name, Template: x.Spec.JobTemplate.Spec.Template})
		}
	}
	return all
}

// IsJob tells whether a workload's pods end by themselves.
func IsJob(w Workload) bool {
	switch w.Object.Object.(type) {
	case *batchv1.Job, *batchv1.CronJob:
		return true
	}
	return false
}

// Containers lists every container of a pod, init containers first.
func Containers(spec corev1.PodSpec) []corev1.Container {
	return append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...)
}
