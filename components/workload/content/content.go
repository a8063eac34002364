// Package content creates ConfigMaps and Secrets that are immutable and named by
// what they contain. A pod names the object that it reads, so a changed value
// changes the pod template of exactly its readers: they roll, nobody else does,
// and a rollback finds the old object's content again.
package content

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// nameDigits is the length of the content digest in a name: 40 bits, enough that
// two contents of one object never meet.
const nameDigits = 10

// Digest names a content. The key is empty for public contents; for secret ones it
// is a generated secret, so that a weak value cannot be guessed from the name.
func Digest(key string, data map[string]string) string {
	mac := hmac.New(sha256.New, []byte(key))
	for _, k := range slices.Sorted(maps.Keys(data)) {
		// Lengths make the encoding unambiguous.
		for _, s := range []string{k, data[k]} {
			var n [8]byte
			for i, l := 0, len(s); i < 8; i, l = i+1, l>>8 {
				n[i] = byte(l)
			}
			mac.Write(n[:])
			mac.Write([]byte(s))
		}
	}
	return hex.EncodeToString(mac.Sum(nil))[:nameDigits]
}

// ConfigMap creates an immutable, content-named ConfigMap and returns its name.
func ConfigMap(ctx *pulumi.Context, name string, namespace pulumi.StringInput, i room.Identity, data pulumi.StringMapInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	out := data.ToStringMapOutput()
	cm, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata:  meta(Named(name, pulumi.String("").ToStringOutput(), out), namespace, i),
		Data:      out,
		Immutable: pulumi.Bool(true),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return cm.Metadata.Name().Elem(), nil
}

// Secret creates an immutable, content-named Secret of a type ("" for Opaque) and returns
// its name, which is not itself secret. Pulumi keeps every value as a secret, whatever the
// caller passed: the constructor of the SDK sees to it.
func Secret(ctx *pulumi.Context, name string, namespace pulumi.StringInput, i room.Identity, kind string, data pulumi.StringMapInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	if kind == "" {
		kind = "Opaque"
	}
	key, err := NamingKey(ctx, name, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	out := data.ToStringMapOutput()
	object, err := corev1.NewSecret(ctx, name, &corev1.SecretArgs{
		Metadata:   meta(Named(name, key, out), namespace, i),
		StringData: out,
		Immutable:  pulumi.Bool(true),
		Type:       pulumi.String(kind),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return pulumi.Unsecret(object.Metadata.Name().Elem()).(pulumi.StringOutput), nil
}

// NamingKey generates the key of Digest for one secret content.
func NamingKey(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	key, err := random.NewRandomPassword(ctx, name+"-naming-key", &random.RandomPasswordArgs{
		Length:  pulumi.Int(32),
		Special: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return key.Result, nil
}

// Named is the name with the content's digest, which is not itself secret.
func Named(name string, key pulumi.StringOutput, data pulumi.StringMapOutput) pulumi.StringOutput {
	digest := pulumi.All(key, data).ApplyT(func(v []any) string {
		return strings.Join([]string{name, Digest(v[0].(string), v[1].(map[string]string))}, "-")
	}).(pulumi.StringOutput)
	return pulumi.Unsecret(digest).(pulumi.StringOutput)
}

func meta(name, namespace pulumi.StringInput, i room.Identity) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{Name: name, Namespace: namespace, Labels: pulumi.ToStringMap(i.Labels())}
}
