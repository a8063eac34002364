package workload

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestCoresAreWrittenAsTheProviderReadsThem: any other form is drift in each refresh,
// and the update that follows replaces the container.
func TestCoresAreWrittenAsTheProviderReadsThem(t *testing.T) {
	for quantity, want := range map[string]string{
		"100m": "0.1", "250m": "0.25", "1": "1.0", "1500m": "1.5", "2": "2.0", "10": "10", "12": "12.0", "1050m": "1.05",
	} {
		assert.Equal(t, want, cores(resource.MustParse(quantity)), quantity)
	}
}
