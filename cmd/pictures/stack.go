package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// user is who looks at Prometheus and VictoriaLogs.
const user = "admin"

// A stack is one that is deployed to the local cluster, as the program local knows it.
type stack struct {
	local   string // path of the program
	outputs struct {
		Namespace          string            `json:"namespace"`
		URLs               map[string]string `json:"urls"`
		CACertificate      string            `json:"caCertificate"`
		PrometheusPassword string            `json:"prometheusPassword"`
	}
}

// deployed asks Pulumi for the outputs of a stack.
func deployed(ctx context.Context, local, name string) (*stack, error) {
	s := &stack{local: local}
	raw, err := s.run(ctx, "pulumi", "--", "stack", "output", "--json", "--show-secrets", "--stack", name)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &s.outputs); err != nil {
		return nil, err
	}
	if s.outputs.URLs["prometheus"] == "" || s.outputs.PrometheusPassword == "" {
		return nil, fmt.Errorf("stack %s has no address and password of Prometheus: make up deploys it", name)
	}
	return s, nil
}

func (s *stack) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.local, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", s.local, args[0], err)
	}
	return out, nil
}

// object reads one of the cluster's.
func (s *stack) object(ctx context.Context, kind, name string, into any) error {
	raw, err := s.run(ctx, "kubectl", "--", "get", kind, name, "--namespace", s.outputs.Namespace, "--output", "json")
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// grafana returns the dashboards that Grafana has been given, by file name, and how often
// its data source is told that targets are scraped.
func (s *stack) grafana(ctx context.Context) (map[string]dashboard, time.Duration, error) {
	var server appsv1.StatefulSet
	if err := s.object(ctx, "statefulset", "monitoring-grafana", &server); err != nil {
		return nil, 0, err
	}
	boards := map[string]dashboard{}
	var scraped time.Duration
	for _, name := range configMaps(server.Spec.Template.Spec.Volumes) {
		var files corev1.ConfigMap
		if err := s.object(ctx, "configmap", name, &files); err != nil {
			return nil, 0, err
		}
		for file, raw := range files.Data {
			var err error
			switch {
			case strings.HasSuffix(file, ".json"):
				boards[file], err = read(raw)
			case file == "datasources.yaml":
				scraped, err = interval(raw)
			}
			if err != nil {
				return nil, 0, fmt.Errorf("%s of ConfigMap %s: %w", file, name, err)
			}
		}
	}
	if len(boards) == 0 || scraped == 0 {
		return nil, 0, fmt.Errorf("StatefulSet monitoring-grafana has %d dashboards and a scrape interval of %s: is it another version's?", len(boards), scraped)
	}
	return boards, scraped, nil
}

// configMaps names those that volumes show.
func configMaps(volumes []corev1.Volume) []string {
	names := map[string]bool{}
	for _, v := range volumes {
		if v.ConfigMap != nil {
			names[v.ConfigMap.Name] = true
		}
		if v.Projected != nil {
			for _, part := range v.Projected.Sources {
				if part.ConfigMap != nil {
					names[part.ConfigMap.Name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// interval is that of the data source of series.
func interval(raw string) (time.Duration, error) {
	var file struct {
		Datasources []struct {
			JSONData struct {
				TimeInterval string `json:"timeInterval"`
			} `json:"jsonData"`
		} `json:"datasources"`
	}
	if err := yaml.Unmarshal([]byte(raw), &file); err != nil {
		return 0, err
	}
	for _, d := range file.Datasources {
		if d.JSONData.TimeInterval != "" {
			return time.ParseDuration(d.JSONData.TimeInterval)
		}
	}
	return 0, errors.New("no data source says how often targets are scraped")
}

// source asks through the edge, whose ports the local cluster has on loopback.
func (s *stack) source(scraped time.Duration) (source, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.outputs.CACertificate)) {
		return source{}, errors.New("the stack's output caCertificate is no certificate: deploy it with tlsMode selfSigned")
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return source{
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				if strings.HasSuffix(host, ".localhost") { // not every resolver knows
					host = "127.0.0.1"
				}
				return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
			},
		}},
		series: s.outputs.URLs["prometheus"], lines: s.outputs.URLs["logs"], traces: s.outputs.URLs["traces"],
		user: user, password: s.outputs.PrometheusPassword, scraped: scraped,
	}, nil
}
