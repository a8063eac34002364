package live

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var reviews = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "localsubjectaccessreviews"}

// Right is one to do something with a resource of the core group.
type Right struct{ Verb, Resource, Subresource string }

// Refuses tells whether the account of a namespace, neither of which needs to exist yet, may
// not do something; false where the user may not ask that. The review of a namespace, which
// its administrators may ask for, tells of what is granted for the whole cluster, too. It
// leaves nothing behind.
func (c *Cluster) Refuses(ctx context.Context, namespace, account string, right Right) (bool, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview",
		"metadata": map[string]any{"namespace": namespace},
		"spec": map[string]any{
			"user":   fmt.Sprintf("system:serviceaccount:%s:%s", namespace, account),
			"groups": []any{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			"resourceAttributes": map[string]any{
				"namespace": namespace, "verb": right.Verb, "resource": right.Resource, "subresource": right.Subresource,
			},
		},
	}}
	answer, err := c.client.Resource(reviews).Namespace(namespace).Create(ctx, review, metav1.CreateOptions{})
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("may %s %s %s/%s? %w", account, right.Verb, right.Resource, right.Subresource, err)
	}
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return !allowed, err
}
