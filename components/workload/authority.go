package workload

import (
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// Files of a certificate and of those who vouch for it.
const (
	CertificateFile = "tls.crt"
	KeyFile         = "tls.key"
	RootsFile       = "ca.crt"
)

// Authority is a stack's own CA, which signs for the servers among its workloads. Nobody
// outside of the stack trusts it.
type Authority struct {
	// Seed is what it is made of, secret, of at least 32 characters.
	Seed pulumi.StringInput
	// Trusted are the seeds of other CAs that are trusted beside that one: the next, before
	// anything is signed by it, and the former.
	Trusted []pulumi.StringInput
}

// Certificate are files with a certificate for a part of the stack and the names under which
// it is reached, its key, and the roots. The same arguments give the same files for a year:
// then the certificate is another one, and what serves it starts anew.
func (a Authority) Certificate(name, part string, hosts ...string) *Files {
	pick := func(pick func(*certs.Pair) string) pulumi.StringOutput {
		return pulumi.ToSecret(pulumi.All(a.Seed).ApplyT(func(v []any) (string, error) {
			p, err := certs.Internal(v[0].(string), part, hosts, time.Now())
			if err != nil {
				return "", err
			}
			return pick(p), nil
		})).(pulumi.StringOutput)
	}
	return Hidden(name, pulumi.StringMap{
		CertificateFile: pick(func(p *certs.Pair) string { return p.Certificate }),
		KeyFile:         pick(func(p *certs.Pair) string { return p.Key }),
		RootsFile:       a.Roots(),
	})
}

// Roots are the CAs to trust, PEM, the present one first.
func (a Authority) Roots() pulumi.StringOutput {
	seeds := []any{a.Seed}
	for _, seed := range a.Trusted {
		seeds = append(seeds, seed)
	}
	return pulumi.ToSecret(pulumi.All(seeds...).ApplyT(func(v []any) (string, error) {
		var roots strings.Builder
		for _, seed := range v {
			root, err := certs.InternalRoot(seed.(string))
			if err != nil {
				return "", err
			}
			roots.WriteString(root)
		}
		return roots.String(), nil
	})).(pulumi.StringOutput)
}
