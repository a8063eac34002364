package ingress

import (
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// pair is a server certificate on its way into the cluster.
type pair struct {
	// certificate and key are secret.
	certificate, key pulumi.StringOutput
	// root is not.
	root pulumi.StringOutput
}

// certificate makes the server certificate, or checks the one that the user gave.
func certificate(args *Args, seed pulumi.StringOutput) pair {
	hosts := nginx.HostsOf(args.Domain).All()
	inputs := []any{seed}
	made := func(v []any) (*certs.Pair, error) {
		return certs.Development(v[0].(string), hosts, time.Now())
	}
	if args.TLS.Certificate != nil {
		inputs = []any{args.TLS.Certificate, args.TLS.Key}
		made = func(v []any) (*certs.Pair, error) {
			return certs.Provided(v[0].(string), v[1].(string), hosts, time.Now())
		}
	}
	// One apply for each part: an output of a struct of our own would have to be
	// registered as a Pulumi type.
	part := func(pick func(*certs.Pair) string) pulumi.StringOutput {
		return pulumi.All(inputs...).ApplyT(func(v []any) (string, error) {
			p, err := made(v)
			if err != nil {
				return "", err
			}
			return pick(p), nil
		}).(pulumi.StringOutput)
	}
	return pair{
		certificate: part(func(p *certs.Pair) string { return p.Certificate }),
		key:         pulumi.ToSecret(part(func(p *certs.Pair) string { return p.Key })).(pulumi.StringOutput),
		// What every client is shown is no secret, though it follows from one.
		root: pulumi.Unsecret(part(func(p *certs.Pair) string { return p.Root })).(pulumi.StringOutput),
	}
}
