// Package minors reads the rendered manifests with the API types of one Kubernetes
// minor, as its API server with strict field validation does. The module files
// beside it choose the minor:
//
//	go test -C tests/minors -modfile=kubernetes-1.35.mod ./...
package minors

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// stacks that deploy to a cluster.
var stacks = []string{"dev", "prod"}

// rendered is the directory with one folder for each stack: that of RENDERED, or a
// new one.
func rendered(t *testing.T) string {
	if dir := os.Getenv("RENDERED"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	for _, stack := range stacks {
		if out, err := exec.Command("go", "run", "-C", "../..", "./cmd/render", "-stack", stack, "-out", filepath.Join(dir, stack)).CombinedOutput(); err != nil {
			t.Fatalf("render %s: %v\n%s", stack, err, out)
		}
	}
	return dir
}

// TestStrictDecoding: every field exists and has the right type in the minor.
func TestStrictDecoding(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme,
		policyv1.AddToScheme, rbacv1.AddToScheme, schedulingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()

	files, err := filepath.Glob(filepath.Join(rendered(t), "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stack := filepath.Base(filepath.Dir(file))
		counts[stack]++
		if _, _, err := decoder.Decode(text, nil, nil); err != nil {
			t.Errorf("%s/%s: %v", stack, filepath.Base(file), err)
		}
	}
	for _, stack := range stacks {
		if counts[stack] < 50 {
			t.Errorf("stack %s has %d objects: the rendering is incomplete", stack, counts[stack])
		}
	}
	t.Logf("objects read: %v", counts)
}

// TestDecoderIsStrict: a misspelt field, a repeated one and a wrong type are errors.
func TestDecoderIsStrict(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	const head = "apiVersion: v1\nkind: Service\n"
	for _, bad := range []string{"spec: {sesionAffinity: None}", "spec: {}\nspec: {}", "spec: {ports: 80}"} {
		if _, _, err := decoder.Decode([]byte(head+bad), nil, nil); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}
