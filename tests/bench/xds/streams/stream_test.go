package main

import "testing"

func TestChangeIn(t *testing.T) {
	for _, test := range []struct {
		body string
		want int
		bad  bool
	}{
		{body: "\x0a\x0b10.128.0.12\x18\x88\x27\x0a\x0b10.250.1.20\x18\x88", want: 276},
		{body: "\x0a\x0a10.250.0.01", want: 0}, // what follows the address is not of it
		{body: "\x0a\x0b10.128.0.12", bad: true},
		{body: "\x0a\x0b10.250.1", bad: true},
		{body: "10.250.0.1", bad: true},
	} {
		got, err := changeIn([]byte(test.body))
		if got != test.want || (err != nil) != test.bad {
			t.Errorf("changeIn(%q) = %d, %v; want %d", test.body, got, err, test.want)
		}
	}
}
