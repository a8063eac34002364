package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryFaultSaysWhatItIs, who has to notice it, and applies to the code as it is.
func TestEveryFaultSaysWhatItIs(t *testing.T) {
	files, err := filepath.Glob("*/*.patch")
	require.NoError(t, err)
	assert.Greater(t, len(files), 200)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		f, err := parse(file, raw)
		if assert.NoError(t, err, file) {
			_, err = f.overlay(root, t.TempDir())
			assert.NoError(t, err, file)
		}
	}
}

func TestWords(t *testing.T) {
	assert.Equal(t, []string{"-C", "a", "./b", "-run", "^Test A$"}, words("-C a ./b -run '^Test A$'"))
}

// TestWhatSurvivesIsAFault of the tests, which the report names.
func TestWhatSurvivesIsAFault(t *testing.T) {
	of := func(o outcome, n int) []result {
		all := make([]result, n)
		for i := range all {
			all[i] = result{fault: fault{part: "any", name: "x"}, outcome: o}
		}
		return all
	}
	assert.NoError(t, report(append(of(killed, 85), of(survived, 15)...)))
	err := report(append(of(killed, 84), of(survived, 16)...))
	require.Error(t, err)
	assert.True(t, strings.Contains(err.Error(), "84 %"), err)
	assert.ErrorContains(t, report(append(of(killed, 99), of(broken, 1)...)), "mend the patch")
}
