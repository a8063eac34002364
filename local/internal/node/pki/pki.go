// Package pki makes the keys and certificates of a cluster, and the kubeconfigs that
// hold them.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

const (
	// caLife outlives any local cluster; leafLife bounds the use of a stolen
	// key, and leaves are issued anew at every start.
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	// clockSkew is how long before its issue a certificate is valid already.
	clockSkew = 5 * time.Minute
)

// An Identity is one certificate of the cluster.
type Identity struct {
	Name   string // file name, without extension
	ca     string
	cn     string
	groups []string
	usage  []x509.ExtKeyUsage
	dns    []string
	ips    []string
	User   bool // also gets a kubeconfig
}

var (
	serverAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	bothAuth   = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

// Authorities are the names of the CAs. The front proxy and etcd have their own,
// so that a client of the API is nobody to either of them.
var Authorities = []string{"ca", "front-proxy-ca", "etcd-ca"}

// Identities lists who there is on a node. Only the administrator is in system:masters;
// everyone else gets rights from the roles that Kubernetes has for them or that
// the cluster's services bring along.
func Identities(h topology.Host) []Identity {
	all := []Identity{
		{Name: "kubelet", ca: "ca", cn: "system:node:" + h.Name(), groups: []string{"system:nodes"}, usage: bothAuth, dns: []string{h.Name()}, ips: texts(h.IPs()), User: true},
		{Name: "proxy", ca: "ca", cn: "system:kube-proxy", usage: clientAuth, User: true},
		{Name: "netpol", ca: "ca", cn: NetpolUser, usage: clientAuth, User: true},
	}
	if !h.ControlPlane() {
		return all
	}
	return append(all, []Identity{
		{
			Name: "apiserver", ca: "ca", cn: "kube-apiserver", usage: serverAuth,
			dns: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + topology.Domain, "localhost"},
			ips: append(texts(h.IPs()), "127.0.0.1", h.Cluster.APIService().String()),
		},
		{Name: "apiserver-kubelet", ca: "ca", cn: KubeletClient, usage: clientAuth},
		{Name: "apiserver-etcd", ca: "etcd-ca", cn: "kube-apiserver", usage: clientAuth},
		{Name: "etcd", ca: "etcd-ca", cn: "etcd", usage: bothAuth, dns: []string{"localhost"}, ips: []string{"127.0.0.1"}},
		{Name: "front-proxy", ca: "front-proxy-ca", cn: "front-proxy-client", usage: clientAuth},
		{Name: "controller-manager", ca: "ca", cn: "system:kube-controller-manager", usage: clientAuth, User: true},
		{Name: "scheduler", ca: "ca", cn: "system:kube-scheduler", usage: clientAuth, User: true},
		{Name: "admin", ca: "ca", cn: "alphapulse-admin", groups: []string{"system:masters"}, usage: clientAuth, User: true},
	}...)
}

func texts(all []netip.Addr) []string {
	var s []string
	for _, a := range all {
		s = append(s, a.String())
	}
	return s
}

// Users that no built-in role knows; the rights of the cluster's services bind them.
const (
	KubeletClient = topology.Product + ":apiserver-kubelet-client"
	NetpolUser    = topology.Product + ":netpol"
)

// Write makes sure that dir holds a node's keys and certificates, with those of the
// authorities for the control plane. CAs and the key that signs service account
// tokens lie in the folder authorities, which is dir for the control plane, and are
// kept once made: what the cluster stores depends on them. All else is issued anew.
func Write(authorities, dir string, h topology.Host, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	cas := map[string]*authority{}
	for _, name := range Authorities {
		ca, err := loadAuthority(authorities, name)
		if errors.Is(err, os.ErrNotExist) && h.ControlPlane() {
			ca, err = newAuthority(dir, name, now)
		}
		if err != nil {
			return fmt.Errorf("pki: %s: %w", name, err)
		}
		if ca.cert.NotAfter.Before(now.Add(leafLife)) {
			return fmt.Errorf("pki: the certificate authority %s ends on %s: erase the cluster with `local down` and start it again", name, ca.cert.NotAfter.Format(time.DateOnly))
		}
		cas[name] = ca
	}
	if h.ControlPlane() {
		if err := serviceAccountKey(dir); err != nil {
			return fmt.Errorf("pki: service account key: %w", err)
		}
	} else if err := writePEM(filepath.Join(dir, "ca.crt"), "CERTIFICATE", cas["ca"].cert.Raw, 0o644); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	for _, id := range Identities(h) {
		if err := cas[id.ca].issue(dir, id, now); err != nil {
			return fmt.Errorf("pki: %s: %w", id.Name, err)
		}
	}
	return nil
}

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func loadAuthority(dir, name string) (*authority, error) {
	b, err := os.ReadFile(filepath.Join(dir, name+".crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	k, err := keyutil.PrivateKeyFromFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, err
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of type %T cannot sign", k)
	}
	return &authority{cert, key}, nil
}

func newAuthority(dir, name string, now time.Time) (*authority, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	key, err := writeKey(dir, name)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: topology.Product + "-" + name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if tmpl, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	// The certificate is written last: without it the authority is made again.
	return &authority{tmpl, key}, writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der, 0o644)
}

func (ca *authority) issue(dir string, id Identity, now time.Time) error {
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	key, err := writeKey(dir, id.Name)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: id.cn, Organization: id.groups},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  id.usage,
		DNSNames:     id.dns,
	}
	for _, ip := range id.ips {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(ip))
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, id.Name+".crt"), "CERTIFICATE", der, 0o644)
}

func serviceAccountKey(dir string) error {
	pub := filepath.Join(dir, "service-account.pub")
	if _, err := os.Stat(pub); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	key, err := writeKey(dir, "service-account")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(pub, "PUBLIC KEY", der, 0o644)
}

func writeKey(dir, name string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(filepath.Join(dir, name+".key"), keyutil.ECPrivateKeyBlockType, der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return state.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// WriteKubeconfig writes to path a kubeconfig for the identity of that name, whose
// key and certificate lie in dir, with everything in it, so that the file can be
// copied.
func WriteKubeconfig(dir, name string, c topology.Cluster, path string) error {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	cert, err := os.ReadFile(filepath.Join(dir, name+".crt"))
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	context := c.Name + "-local"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[context] = &clientcmdapi.Cluster{Server: c.APIServer(), CertificateAuthorityData: ca}
	cfg.AuthInfos[context] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	cfg.Contexts[context] = &clientcmdapi.Context{Cluster: context, AuthInfo: context}
	cfg.CurrentContext = context
	b, err := clientcmd.Write(*cfg)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	if err := state.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	return nil
}
