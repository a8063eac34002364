// Package kube changes labels of pods in the process's own namespace.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// mounted is where a pod finds its ServiceAccount.
const mounted = "/var/run/secrets/kubernetes.io/serviceaccount"

// timeout of one request.
const timeout = 5 * time.Second

// Client talks to the API server with the pod's ServiceAccount.
type Client struct {
	base   string // of the namespace's objects
	folder string
	http   *http.Client
}

// InCluster returns the client of this pod.
func InCluster() (*Client, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("kubernetes: KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set: this is no pod")
	}
	return open("https://"+net.JoinHostPort(host, port), mounted)
}

func open(server, folder string) (*Client, error) {
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	namespace, err := os.ReadFile(filepath.Join(folder, "namespace"))
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("kubernetes: ca.crt holds no certificate")
	}
	return &Client{
		base:   server + "/api/v1/namespaces/" + url.PathEscape(strings.TrimSpace(string(namespace))),
		folder: folder,
		http:   &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
	}, nil
}

// Pod is what matters of one.
type Pod struct {
	Name string
	// Stopping says that it has been deleted, and is on its way out.
	Stopping bool
}

// Pods returns those that a selector matches.
func (c *Client) Pods(ctx context.Context, selector string) ([]Pod, error) {
	var list struct {
		Items []struct {
			Metadata struct {
				Name    string `json:"name"`
				Deleted string `json:"deletionTimestamp"`
			} `json:"metadata"`
		} `json:"items"`
	}
	if err := c.do(ctx, http.MethodGet, "/pods?labelSelector="+url.QueryEscape(selector), nil, &list); err != nil {
		return nil, err
	}
	var pods []Pod
	for _, p := range list.Items {
		pods = append(pods, Pod{p.Metadata.Name, p.Metadata.Deleted != ""})
	}
	return pods, nil
}

// Label sets a label of a pod.
func (c *Client) Label(ctx context.Context, pod, label, value string) error {
	patch := map[string]any{"metadata": map[string]any{"labels": map[string]string{label: value}}}
	return c.do(ctx, http.MethodPatch, "/pods/"+url.PathEscape(pod), patch, nil)
}

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	token, err := os.ReadFile(filepath.Join(c.folder, "token")) // it is renewed
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("kubernetes: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if body != nil {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("kubernetes: %s %s answers %d: %s", method, path, resp.StatusCode, said)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("kubernetes: %s: %w", path, err)
	}
	return nil
}
