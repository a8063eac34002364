package deploy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// TestAddonsAreRefusedElsewhere: a cluster that is somebody's gets none in passing.
func TestAddonsAreRefusedElsewhere(t *testing.T) {
	here, there := target{Local: true}, target{Context: "prod", Server: "https://prod.example.com"}
	for _, c := range []struct {
		names []string
		where target
		says  string
	}{
		{nil, there, ""},
		{[]string{"certManager"}, here, ""},
		{[]string{"certManager"}, there, "the stack is deployed to https://prod.example.com (context prod)"},
		{[]string{"certmanager"}, here, `no add-on is named "certmanager": there is certManager, gateway, kubeletMetrics, logAgent`},
	} {
		err := checkAddons(c.names, c.where)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v on %v: %v", c.names, c.where, err)
		}
	}
}

// TestAddonsOfTheLocalCluster have the file of the stack, a chart that is there, and this
// cluster; nothing of them outlives it.
func TestAddonsOfTheLocalCluster(t *testing.T) {
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(root, "Pulumi."+addonStack+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := addonSettings(file, []string{"certManager", "gateway", "kubeletMetrics", "logAgent"}, "/addons", "uid")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"target": "addons", "protect": false, "certManager": true, "certManagerChart": "/addons/certManager/chart", "clusterMoveTo": "uid",
		"logAgent": true, "logAgentChart": nil, "gateway": nil,
		"gatewayController": "traefik", "gatewayControllerChart": "/addons/gateway/chart", "gatewayDefinitions": "/addons/gateway/definitions.yaml",
		"gatewayControllerService": "NodePort", "gatewayControllerHttpsNodePort": 30444.0,
	} {
		if got.Config["alphapulse:"+key] != want {
			t.Errorf("%s is %v, want %v", key, got.Config["alphapulse:"+key], want)
		}
	}
	if want := []any{"alphapulse-dev"}; !reflect.DeepEqual(got.Config["alphapulse:logAgentNamespaces"], want) {
		t.Errorf("logAgentNamespaces is %v, want %v", got.Config["alphapulse:logAgentNamespaces"], want)
	}
	if want := []any{"alphapulse-dev"}; !reflect.DeepEqual(got.Config["alphapulse:kubeletMetricsNamespaces"], want) {
		t.Errorf("kubeletMetricsNamespaces is %v, want %v", got.Config["alphapulse:kubeletMetricsNamespaces"], want)
	}
	var known []string
	for _, i := range images.Table() {
		known = append(known, i.Name)
	}
	for name, a := range addons {
		for _, i := range a.images {
			if !strings.Contains(strings.Join(known, " ")+" ", i+" ") {
				t.Errorf("%s needs the image %s, which is not in the table", name, i)
			}
		}
	}
}
