package ingress

import (
	"crypto/x509"
	"encoding/pem"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// generated answers for the seed.
type generated struct{}

func (generated) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	out := args.Inputs.Copy()
	out["result"] = resource.NewStringProperty("a seed of at least thirty-two bytes, for tests only")
	return args.Name, out, nil
}

func (generated) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return resource.PropertyMap{}, nil
}

// The certificate that the edge is given is good for each of its hosts.
func TestTheDevelopmentCertificateCoversEveryHost(t *testing.T) {
	var certificate, root string
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		secrets, err := valid().withDefaults().Secrets(ctx, "edge")
		if err != nil {
			return err
		}
		var got sync.WaitGroup
		got.Add(1)
		pulumi.All(secrets.Certificate, secrets.Root).ApplyT(func(v []any) string {
			certificate, root = v[0].(string), v[1].(string)
			got.Done()
			return ""
		})
		got.Wait()
		return nil
	}, pulumi.WithMocks("project", "stack", generated{})))
	block, _ := pem.Decode([]byte(certificate))
	require.NotNil(t, block)
	leaf, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(root)))
	for _, host := range []string{"alphapulse.example.test", "api.example.test", "dashboard.example.test", "monitoring.example.test"} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
		assert.NoError(t, err, host)
	}
}
