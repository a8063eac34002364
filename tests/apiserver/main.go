// Command apiserver says what the API server would: it reads objects, one a line of JSON,
// and answers each with a line, empty where the object would be created; what a definition
// brings is known from then on. It is Kubernetes' own code that decodes, defaults and validates; no server runs.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	apiservice "k8s.io/kubernetes/pkg/api/service"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
)

// strategies are what the API server does with a new object of each kind.
var strategies = map[string]rest.RESTCreateStrategy{
	"Deployment": deployment.Strategy, "StatefulSet": statefulset.Strategy, "HorizontalPodAutoscaler": horizontalpodautoscaler.Strategy,
	"Job": job.Strategy, "CronJob": cronjob.Strategy,
	"ConfigMap": configmap.Strategy, "LimitRange": limitrange.Strategy, "Namespace": namespace.Strategy,
	"PersistentVolumeClaim": persistentvolumeclaim.Strategy, "ResourceQuota": resourcequota.Strategy, "Secret": secret.Strategy,
	"Service": service.Strategy, "ServiceAccount": serviceaccount.Strategy,
	"Ingress": ingress.Strategy, "NetworkPolicy": networkpolicy.Strategy, "PodDisruptionBudget": poddisruptionbudget.Strategy,
	"Role": role.Strategy, "RoleBinding": rolebinding.Strategy, "PriorityClass": priorityclass.Strategy,
}

func main() {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		said := ""
		if err := create(line); err != nil {
			said = strings.Join(strings.Fields(err.Error()), " ")
		}
		if _, err := fmt.Println(said); err != nil {
			return
		}
	}
}

// create does what comes before an object is stored.
func create(raw []byte) error {
	own, err := kindOf(raw)
	if err != nil {
		return err
	}
	if own.Kind == "CustomResourceDefinition" {
		return define(raw)
	}
	if c, ok := defined[own]; ok {
		return c.create(raw)
	}
	_, kind, err := legacyscheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return err
	}
	strategy, ok := strategies[kind.Kind]
	if !ok {
		return fmt.Errorf("kind %s is none that is known here: add its strategy", kind.Kind)
	}
	object, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), raw) // defaults, and the server's own types
	if err != nil {
		return err
	}
	of, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	rest.FillObjectMetaSystemFields(of)
	if s, ok := object.(*core.Service); ok {
		allocate(s)
	}
	resource, _ := meta.UnsafeGuessKindToResource(*kind)
	ctx := request.WithRequestInfo(request.WithNamespace(context.Background(), of.GetNamespace()), &request.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: kind.Group, APIVersion: kind.Version, Resource: resource.Resource, Namespace: of.GetNamespace(),
	})
	return rest.BeforeCreate(strategy, ctx, object)
}

// allocate does what the storage of Services does before they are validated: both fields
// of the address say the same, and a free node port is found for health checks.
func allocate(s *core.Service) {
	if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	if apiservice.NeedsHealthCheck(s) && s.Spec.HealthCheckNodePort == 0 {
		s.Spec.HealthCheckNodePort = 32767
	}
}
