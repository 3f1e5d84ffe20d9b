/*
 * msrpctl: commands for msrpd from a shell.  But for a few that are for people it knows no command
 * itself: what the command line says becomes a JSON-RPC request, what comes back a table.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msrpctl/chat.h"
#include "msrpctl/check.h"
#include "msrpctl/connection.h"
#include "msrpctl/events.h"
#include "msrpctl/msrpctl.h"
#include "msrpctl/request.h"
#include "msrpctl/send_file.h"
#include "msrpctl/table.h"
#include "msrpctl/top.h"

static void usage(FILE *to)
{
	fprintf(to,
	    "usage: msrpctl [-s SOCKET] [-j] COMMAND [ARG...]\n"
	    "       msrpctl [-s SOCKET] [-j] events [NAME...]\n"
	    "       msrpctl [-s SOCKET] chat URI|SESSION|ROOM [from=URI]\n"
	    "       msrpctl [-s SOCKET] send-file URI|SESSION PATH [from=URI] [mime=TYPE] [name=NAME]\n"
	    "       msrpctl [-s SOCKET] top\n"
	    "       msrpctl [-s SOCKET] check [CONFIG]\n"
	    "  -s SOCKET   control socket of msrpd (" DEFAULT_SOCKET ")\n"
	    "  -j, --json  print the result as JSON\n"
	    "  -V          print the version\n"
	    "ARG is a value by position, or NAME=VALUE; body=@FILE and body=- read it from a file.\n"
	    "`msrpctl which` lists the commands, `msrpctl help` explains them, `msrpctl why ID` "
	    "tells\nwhat happened to a session.\n");
}

static struct options read_options(int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	struct options options = {.socket = DEFAULT_SOCKET};
	int c;

	while ((c = getopt_long(argc, argv, "+s:jhV", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			options.socket = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_RESULT);
		case 'V':
			puts("msrpctl " MSRPD_VERSION);
			exit(EXIT_RESULT);
		default:
			usage(stderr);
			exit(EXIT_TROUBLE);
		}
	}
	return options;
}

static int events(struct options *options, char **args)
{
	FILE *stream;
	int status;

	if (*args && strcmp(*args, "--json") == 0) {
		options->json = true;
		args++;
	}
	stream = connect_to(options->socket);
	status = follow_events(stream, options, args);
	fclose(stream);
	return status;
}

static int command(const struct options *options, char **args)
{
	json_t *request = make_request(args[0], make_params(args + 1));
	FILE *stream = connect_to(options->socket);
	int status = ask(stream, options, request, true);

	fclose(stream);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = read_options(argc, argv);
	char **args = argv + optind;
	int status;

	if (!*args) {
		usage(stderr);
		return EXIT_TROUBLE;
	}
	if (strcmp(*args, "events") == 0)
		status = events(&options, args + 1);
	else if (strcmp(*args, "chat") == 0)
		status = chat(&options, args + 1);
	else if (strcmp(*args, "send-file") == 0)
		status = send_file(&options, args + 1);
	else if (strcmp(*args, "top") == 0)
		status = top(&options);
	else if (strcmp(*args, "check") == 0)
		status = check(&options, args + 1);
	else
		status = command(&options, args);
	return fflush(stdout) == 0 ? status : EXIT_TROUBLE;
}
